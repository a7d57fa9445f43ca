// The stream of pictures, and how it heals.

/** Without a picture for so long the connection counts as lost: one comes every 200 ms. */
const SILENCE_MS = 3000;

/** How soon to try again. */
const RETRY_MS = 1000;

/**
 * Calls `onPicture(picture, isWhole)` for each picture and `onLink("live" | "lost")` when the
 * connection comes and goes, for ever.
 */
export function follow(url, onPicture, onLink) {
  let source = null;
  let watchdog = 0;

  function lost() {
    source?.close();
    clearTimeout(watchdog);
    onLink("lost");
    watchdog = setTimeout(open, RETRY_MS);
  }

  function take(event, isWhole) {
    clearTimeout(watchdog);
    watchdog = setTimeout(lost, SILENCE_MS);
    onPicture(JSON.parse(event.data), isWhole);
    onLink("live");
  }

  function open() {
    source = new EventSource(url);
    source.addEventListener("whole", (event) => take(event, true));
    source.addEventListener("news", (event) => take(event, false));
    source.addEventListener("error", lost);
    clearTimeout(watchdog);
    watchdog = setTimeout(lost, SILENCE_MS);
  }

  open();
}
