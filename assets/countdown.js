// Counts down the session's remaining time. Without this script, the page still shows how long the
// session lasts.
const countdown = document.getElementById("countdown");
if (countdown) {
  const end = Date.now() + Number(countdown.dataset.seconds) * 1000;
  const tick = () => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    countdown.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left === 0) {
      countdown.parentElement.textContent = "over: the next visit starts a new one";
      clearInterval(timer);
    }
  };
  const timer = setInterval(tick, 1000);
}
