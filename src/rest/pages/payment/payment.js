// Runs in the payer's browser. It has no words of its own: what it says stands in attributes of the page. Everything that can be
// done without it works without it.

const byId = (id) => document.getElementById(id);
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const say = (text) => {
  byId("say").textContent = text;
};
const state = () => byId("main").dataset.state;
/** A page whose order is over, or that shows none, has nothing to listen to. */
const mayChange = () => "events" in byId("main").dataset;

// 1. The search: over names in both scripts and the bank's code.
addEventListener("input", ({ target }) => {
  if (target.id !== "find") return;
  const wanted = target.value.trim().toLowerCase();
  let found = 0;
  for (const row of byId("banks").children) {
    row.hidden = !row.dataset.find.includes(wanted);
    if (!row.hidden) found += 1;
  }
  byId("none").hidden = found > 0;
  say(fill(target.dataset.found, { n: found }));
});

// 2. A bank's link answers nothing when its app is not installed, so the page says what to do then.
addEventListener("click", ({ target }) => {
  const link = target.closest("#banks a");
  if (!link) return;
  for (const other of byId("banks").querySelectorAll(".open")) other.classList.remove("open");
  link.classList.add("open");
  const note = byId("opened");
  note.textContent = fill(note.dataset.text, { bank: link.querySelector(".name").textContent });
  note.hidden = false;
});

// 3. What is left of the time to pay, by the server's clock. Spoken at five minutes and at one.
let counting;
function countTime() {
  clearInterval(counting);
  const { now, expires } = byId("main").dataset;
  const shown = byId("left");
  if (!now || !shown) return;
  const ahead = Number(now) - performance.now();
  let before = Infinity;
  const count = () => {
    const leftMs = Number(expires) - ahead - performance.now();
    if (leftMs <= 0) {
      clearInterval(counting);
      shown.textContent = "";
      // The core cancels the order a moment later; if the news of it is lost, this finds out.
      setTimeout(readAgain, 2000);
      return;
    }
    for (const minutes of [5, 1]) {
      if (leftMs <= minutes * 60000 && before > minutes * 60000 && before < Infinity)
        say(fill(shown.dataset.spoken, { m: minutes }));
    }
    before = leftMs;
    const countsSeconds = leftMs < Number(shown.dataset.secondsFrom);
    byId("due").classList.toggle("soon", countsSeconds);
    if (leftMs > Number(shown.dataset.countedFrom)) return;
    const minutes = Math.floor(leftMs / 60000);
    if (countsSeconds) shown.textContent = fill(shown.dataset.seconds, { s: Math.ceil(leftMs / 1000) });
    else if (minutes < 60) shown.textContent = fill(shown.dataset.minutes, { m: minutes });
    else shown.textContent = fill(shown.dataset.hours, { h: Math.floor(minutes / 60), m: minutes % 60 });
  };
  count();
  counting = setInterval(count, 1000);
}

// 4. The way back: six seconds, only while the page is looked at, stopped by one button.
let returning;
function countReturn() {
  clearInterval(returning);
  const box = byId("auto");
  if (!box) return;
  let seconds = 6;
  const text = byId("autoText");
  const show = () => {
    text.textContent = fill(text.dataset.text, { n: seconds });
  };
  show();
  box.hidden = false;
  byId("stay").onclick = () => {
    clearInterval(returning);
    box.hidden = true;
    byId("title").focus({ preventScroll: true });
  };
  returning = setInterval(() => {
    if (document.hidden) return;
    seconds -= 1;
    if (seconds > 0) return show();
    clearInterval(returning);
    // Replaced, so that "back" does not lead here again.
    location.replace(box.dataset.to);
  }, 1000);
}

// 5. Live. On a change the page is read again and its <main> taken over: one renderer, and no words here.
let isReading = false;
async function readAgain() {
  if (isReading || !mayChange()) return;
  isReading = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = page.getElementById("main");
    if (!main || main.dataset.state === state()) return;
    byId("main").replaceWith(document.adoptNode(main));
    document.title = page.title;
    begin();
    const title = byId("title");
    title.focus({ preventScroll: true });
    say(title.textContent);
    scrollTo({ top: 0 });
  } catch {
    // No network: the next event, poll or return to the foreground tries again.
  } finally {
    isReading = false;
  }
}

let events;
function listen() {
  events = new EventSource(byId("main").dataset.events);
  events.addEventListener("state", ({ data }) => {
    if (JSON.parse(data).state !== state()) readAgain();
  });
  events.onerror = () => {
    // While it is connecting again by itself nothing is to be done; once it gave up, the page asks.
    if (events.readyState === EventSource.CLOSED) poll();
  };
}

const spread = (ms) => ms * (0.8 + 0.4 * Math.random());
const pauses = [2000, 3000, 5000];
let polling;
function poll(asked = 0) {
  clearTimeout(polling);
  if (!mayChange()) return;
  polling = setTimeout(
    async () => {
      await askStatus();
      poll(asked + 1);
    },
    spread(pauses[asked] ?? 10000),
  );
}

// A stream can lose an event when a process dies at that moment, so the state is asked now and then, too.
let watching;
function watch() {
  clearInterval(watching);
  if (mayChange()) watching = setInterval(askStatus, spread(60000));
}

async function askStatus() {
  try {
    const { status: address, known } = byId("main").dataset;
    const answer = await fetch(address, { cache: "no-store" });
    if (answer.ok && (await answer.json()).status !== known) await readAgain();
  } catch {
    // As above.
  }
}

function begin() {
  countTime();
  countReturn();
  watch();
  if (mayChange()) return;
  events?.close();
  clearTimeout(polling);
}

document.documentElement.classList.add("js");
begin();
if (mayChange()) {
  listen();
  // Phones cut streams in the background.
  addEventListener("visibilitychange", () => document.hidden || readAgain());
  addEventListener("online", readAgain);
  addEventListener("pageshow", ({ persisted }) => persisted && readAgain());
}
