"""What is refused of polls, each by its name."""

from __future__ import annotations

from chassis.errors import DomainError, Kind


class PollNotFound(DomainError):
    code = "poll_not_found"
    kind = Kind.NOT_FOUND
    message = "Không tìm thấy cuộc lấy ý kiến này."


class PollPublished(DomainError):
    code = "poll_published"
    kind = Kind.CONFLICT
    message = "Cuộc lấy ý kiến đã công bố nên không sửa được nữa."


class PollNotOpen(DomainError):
    code = "poll_not_open"
    kind = Kind.CONFLICT
    message = "Cuộc lấy ý kiến không mở vào lúc này."


class PollNotClosed(DomainError):
    code = "poll_not_closed"
    kind = Kind.CONFLICT
    message = "Chỉ ghi được kết quả đáp ứng khi cuộc lấy ý kiến đã kết thúc và có người trả lời."


class NotAsked(DomainError):
    code = "not_asked"
    kind = Kind.FORBIDDEN
    message = "Cuộc lấy ý kiến này dành cho người dân của địa bàn khác."


class ResultsNotYet(DomainError):
    code = "results_not_yet"
    kind = Kind.FORBIDDEN
    message = "Kết quả được công bố sau khi cuộc lấy ý kiến kết thúc."


class TooManyQuestions(DomainError):
    code = "too_many_questions"
    kind = Kind.CONFLICT
    message = "Mỗi cuộc lấy ý kiến có tối đa {most} câu hỏi."


class NoQuestions(DomainError):
    code = "no_questions"
    kind = Kind.CONFLICT
    message = "Cần ít nhất một câu hỏi trước khi công bố."


class PaperEntered(DomainError):
    code = "paper_entered"
    kind = Kind.CONFLICT
    message = "Phiếu giấy số {number} đã nhập rồi. Xin xem lại số ghi trên phiếu."


class AnswerSealed(DomainError):
    code = "answer_sealed"
    kind = Kind.CONFLICT
    message = "Câu trả lời đã được ghi nhận và không sửa được nữa."
