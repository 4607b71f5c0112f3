// Shows codes on pages of other sites: docs/embedding.md. Each is an <img>, because WeChat reads nothing else when pressed.
(() => {
  const base = document.currentScript.src.replace(/\/embed\.js.*$/, "");
  const NAMES = "scene-id scene-str permanent expire-seconds size margin color bg lang exp sig".split(" ");
  const DATA = NAMES.map((name) => `data-wxqr-${name}`);
  const PLACES = "wx-qrcode,[data-wxqr-scene-id],[data-wxqr-scene-str]";
  // Milliseconds. LEAD: how long before its end a code is renewed; a quarter of its life if that is less.
  const LEAD = 120_000;
  const SHORTEST_WAIT = 5_000;
  const LONGEST_RETRY = 300_000;
  const LONGEST_TIMER = 86_400_000;
  const places = new Map();

  const queryOf = (element) => {
    const query = new URLSearchParams();
    NAMES.forEach((name, i) => {
      const value = element.getAttribute(element.localName === "wx-qrcode" ? name : DATA[i]);
      if (value !== null) query.set(name.replace("-", "_"), value);
    });
    return query.toString();
  };

  class Place {
    ends = 0;
    retry = SHORTEST_WAIT;

    constructor(element) {
      this.element = element;
      this.renew();
    }

    async renew() {
      const query = (this.query = queryOf(this.element));
      this.due = Infinity;
      try {
        const answer = await fetch(`${base}/qrcode.json?${query}`, { credentials: "omit", cache: "no-store" });
        const code = await answer.json();
        if (!answer.ok) throw code;
        const image = new Image();
        image.src = new URL(code.png_url, base).href;
        await image.decode();
        if (query === this.query) this.show(image, code);
      } catch (problem) {
        if (query === this.query) this.fail(problem);
      }
      this.wake();
    }

    show(image, code) {
      image.alt = this.say("微信二维码", "WeChat QR code");
      image.style.maxWidth = "100%";
      this.element.replaceChildren(image);
      const left = code.permanent ? Infinity : code.expire_seconds * 1000;
      this.ends = Date.now() + left;
      this.due = Date.now() + Math.max(left - Math.min(LEAD, left / 4), SHORTEST_WAIT);
      this.retry = SHORTEST_WAIT;
      this.tell("code", code);
    }

    // A code that has not ended stays.
    fail(problem) {
      this.due = Date.now() + Math.max(this.retry, (problem.retry_after || 0) * 1000);
      this.retry = Math.min(this.retry * 2, LONGEST_RETRY);
      if (Date.now() >= this.ends) {
        const text = document.createElement("span");
        text.role = "status";
        text.textContent = problem.detail || this.say("二维码暂时无法显示，正在重试", "The code cannot be shown now; trying again");
        this.element.replaceChildren(text);
      }
      this.tell("error", problem);
    }

    say(zh, en) {
      const lang = new URLSearchParams(this.query).get("lang") || navigator.language;
      return lang.startsWith("zh") ? zh : en;
    }

    tell(what, detail) {
      this.element.dispatchEvent(new CustomEvent(`wxqr-${what}`, { bubbles: true, detail }));
    }

    // Timers sleep with the phone, so the clock decides.
    wake() {
      clearTimeout(this.timer);
      if (!this.element.isConnected) return;
      const wait = this.due - Date.now();
      if (wait <= 0) this.renew();
      else if (wait < Infinity) this.timer = setTimeout(() => this.wake(), Math.min(wait, LONGEST_TIMER));
    }
  }

  const scan = () => {
    for (const element of document.querySelectorAll(PLACES)) {
      const place = places.get(element);
      if (!place) places.set(element, new Place(element));
      else if (place.query !== queryOf(element)) place.renew();
    }
    for (const element of places.keys()) if (!element.isConnected) places.delete(element);
  };
  const wakeAll = () => places.forEach((place) => place.wake());
  for (const event of ["pageshow", "online", "visibilitychange"]) addEventListener(event, wakeAll, true);
  new MutationObserver(scan).observe(document, { subtree: true, childList: true, attributeFilter: [...NAMES, ...DATA] });
  scan();
})();
