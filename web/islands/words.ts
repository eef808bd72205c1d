// The few sentences that islands say by themselves, in the page's language.

const vi = {
  updated: "Cập nhật lúc {time}",
  because: ", vì {reason}",
  cut: "Mất kết nối, số liệu lúc {time} ({age})",
  old: "Số liệu lúc {time}",
  now: "vừa xong",
  seconds: "{n} giây trước",
  minutes: "{n} phút trước",
  hours: "{n} giờ trước",
  days: "{n} ngày trước",
  locating: "Đang tìm vị trí…",
  located: "Đã lấy vị trí (sai số khoảng {n} m).",
  denied: "Điện thoại không cho lấy vị trí. Hãy chọn thôn hoặc ghi nơi xảy ra bằng lời.",
  unlocated: "Chưa tìm được vị trí. Hãy ra chỗ thoáng rồi thử lại, hoặc ghi nơi xảy ra bằng lời.",
  shrinking: "Đang thu nhỏ ảnh…",
  photo: "Ảnh đã chọn: {name} ({n} KB)",
  kept: "Nội dung gõ dở lần trước đã được giữ lại.",
  working: "Đang ghi…",
  following: "Máy này đang nhận thông báo của thôn.",
  left: "Máy này không nhận thông báo của thôn nữa.",
  pushdenied: "Máy không cho hiện thông báo. Hãy cho phép thông báo của trang này trong phần cài đặt rồi bấm lại.",
  pushnothing: "Hãy chọn ít nhất một việc.",
  pushless: "Trình duyệt này không nhận được thông báo. Trên iPhone, hãy thêm trang này vào màn hình chính rồi mở lại; hoặc đọc thông báo ở dưới đây.",
  pushfailed: "Chưa đăng ký được. Hãy kiểm tra mạng rồi bấm lại.",
};

const en: typeof vi = {
  updated: "Updated at {time}",
  because: ", because {reason}",
  cut: "Connection lost, figures as of {time} ({age})",
  old: "Figures as of {time}",
  now: "just now",
  seconds: "{n} seconds ago",
  minutes: "{n} minutes ago",
  hours: "{n} hours ago",
  days: "{n} days ago",
  locating: "Finding your position…",
  located: "Position found (within about {n} m).",
  denied: "This phone does not share its position. Choose the village or describe the place in words.",
  unlocated: "Position not found. Try again in the open, or describe the place in words.",
  shrinking: "Making the photo smaller…",
  photo: "Chosen photo: {name} ({n} KB)",
  kept: "What you had typed before was kept.",
  working: "Saving…",
  following: "This device gets the notices of the village.",
  left: "This device gets no more notices of the village.",
  pushdenied: "This device does not let notices be shown. Allow notifications of this site in the settings and try again.",
  pushnothing: "Choose at least one subject.",
  pushless: "This browser cannot get notices. On an iPhone add this page to the home screen and open it there, or read the notices below.",
  pushfailed: "That did not work. Check the connection and try again.",
};

const words = document.documentElement.lang === "en" ? en : vi;

export function say(key: keyof typeof vi, values: Record<string, string | number> = {}): string {
  return words[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** How long ago a moment was, in words; the same steps as the server's fmt_ago. */
export function ago(then: Date, now: Date = new Date()): string {
  const seconds = Math.max(0, Math.floor((now.getTime() - then.getTime()) / 1000));
  if (seconds < 5) return say("now");
  if (seconds < 60) return say("seconds", { n: seconds });
  if (seconds < 3600) return say("minutes", { n: Math.floor(seconds / 60) });
  if (seconds < 86400) return say("hours", { n: Math.floor(seconds / 3600) });
  return say("days", { n: Math.floor(seconds / 86400) });
}

/** A time of day as people of the province read it, whatever zone the device is set to. */
export function clock(moment: Date, seconds = true): string {
  return moment.toLocaleTimeString("vi-VN", {
    hour: "2-digit",
    minute: "2-digit",
    ...(seconds ? { second: "2-digit" as const } : {}),
    hour12: false,
    timeZone: "Asia/Ho_Chi_Minh",
  });
}
