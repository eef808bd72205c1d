"""What is refused in the forum, each by its name."""

from __future__ import annotations

from chassis.errors import DomainError, Kind


class ThreadNotFound(DomainError):
    code = "forum_thread_not_found"
    kind = Kind.NOT_FOUND
    message = "Không tìm thấy chủ đề này trên diễn đàn."


class PostNotFound(DomainError):
    code = "forum_post_not_found"
    kind = Kind.NOT_FOUND
    message = "Không tìm thấy bài viết này trên diễn đàn."


class ThreadLocked(DomainError):
    code = "forum_thread_locked"
    kind = Kind.CONFLICT
    message = "Chủ đề đã khóa, chỉ đọc được, không viết thêm được."


class NotPossibleNow(DomainError):
    code = "forum_not_possible_now"
    kind = Kind.CONFLICT
    message = "Chủ đề hoặc bài viết đang ở trạng thái khác nên không làm được việc này. Xin tải lại trang."


class EditTooLate(DomainError):
    code = "forum_edit_too_late"
    kind = Kind.CONFLICT
    message = "Chỉ sửa được bài trong {minutes} phút sau khi gửi. Chị/anh có thể rút bài và viết bài khác."


class TooManyPosts(DomainError):
    code = "forum_too_many_posts"
    kind = Kind.RATE_LIMITED
    message = "Mỗi giờ gửi được tối đa {most} bài. Xin chờ một lúc rồi viết tiếp."


class TooManyReports(DomainError):
    code = "forum_too_many_reports"
    kind = Kind.RATE_LIMITED
    message = "Mỗi giờ gửi được tối đa {most} báo cáo. Xin chờ một lúc rồi báo tiếp."


class PostChanged(DomainError):
    code = "forum_post_changed"
    kind = Kind.CONFLICT
    message = "Người viết vừa sửa bài này. Xin đọc lại rồi mới duyệt."


class NameNeeded(DomainError):
    code = "forum_name_needed"
    message = "Xin chọn tên hiển thị, từ 2 đến 40 ký tự. Không cần là tên thật."


class NameTaken(DomainError):
    code = "forum_name_taken"
    kind = Kind.CONFLICT
    message = "Đã có người dùng tên này trên diễn đàn. Xin chọn tên khác."


class NoLinksYet(DomainError):
    code = "forum_no_links_yet"
    message = "Bài của người mới không được có đường dẫn. Viết được đường dẫn sau khi có một bài được duyệt."


class OwnPost(DomainError):
    code = "forum_own_post"
    kind = Kind.CONFLICT
    message = "Đây là bài của chính chị/anh: chị/anh có thể rút bài."
