// Shows codes on other sites: docs/embedding.md. Each is an <img>: WeChat reads nothing else.
if (!document.hasWxqr) {
	document.hasWxqr = true;
	// A module has no current script.
	const base = new URL(".", (document.currentScript || document.querySelector('[type=module][src*="/embed.js"]')).src);
	const DATA = "data-wxqr-";
	const NAMES = "scene-id scene-str permanent expire-seconds size margin color bg lang exp sig".split(" ");
	const keepers = new WeakMap();

	const queryOf = (element) => {
		const query = new URLSearchParams();
		for (const name of NAMES) {
			let value = element.getAttribute(element.localName === "wx-qrcode" ? name : DATA + name);
			if (value === null) continue;
			if (name === "permanent") value ||= "true";
			if (/color|bg/.test(name)) value = value.replace("#", "");
			query.set(name.replace("-", "_"), value);
		}
		return query;
	};

	// Returns the function that keeps the code of an element current. Times are in milliseconds.
	const keeper = (element) => {
		let query, due, ends, failed, retry;
		const say = (zh, en) => ((query.get("lang") || navigator.language).startsWith("zh") ? zh : en);
		const emit = (what, detail) => element.dispatchEvent(new CustomEvent("wxqr-" + what, { bubbles: true, detail }));

		const show = (image, code, end) => {
			image.alt = say("微信二维码", "WeChat QR code");
			image.style.maxWidth = "100%";
			element.replaceChildren(image);
			ends = end;
			// Two minutes before the end, or at a quarter of a shorter lifetime.
			const left = end - Date.now();
			due = Date.now() + Math.max(left - 120_000, left * 0.75, 5_000);
			retry = 0;
			emit("code", code);
		};

		// A code that has not ended stays.
		const complain = (problem) => {
			if (Date.now() >= ends) {
				ends = 0;
				element.replaceChildren(say("二维码暂时无法显示", "The code cannot be shown now"));
			}
			emit("error", problem);
		};

		const renew = async () => {
			const asked = (query = queryOf(element));
			due = Infinity;
			failed = false;
			let status;
			const image = new Image();
			const request = new AbortController();
			const deadline = setTimeout(() => {
				request.abort();
				image.src = "";
			}, 10_000);
			try {
				const answer = await fetch(`${base}qrcode.json?${query}`, { cache: "no-store", signal: request.signal });
				status = answer.status;
				const code = await answer.json();
				if (!answer.ok) throw code;
				const end = Date.now() + (code.expire_seconds ?? Infinity) * 1000;
				// An address for each code: browsers show a known one from memory.
				const src = new URL(`${code.png_url}&until=${code.expires_at ?? ""}`, base);
				await new Promise((onload, onerror) => Object.assign(image, { onload, onerror, src }));
				if (query === asked) show(image, code, end);
			} catch (problem) {
				if (query !== asked) return;
				// A refusal stays one, but for 429.
				failed = !/^4(?!29)/.test(status);
				retry = Math.min(retry * 2 || 5_000, 300_000);
				if (failed) due = Date.now() + Math.max(retry, (problem.retry_after || 0) * 1000);
				complain(problem);
			} finally {
				clearTimeout(deadline);
			}
		};

		return (back) => {
			if (`${query}` !== `${queryOf(element)}`) due = ends = retry = 0;
			if (Date.now() >= due || (back && failed)) renew();
			if (ends && Date.now() >= ends) complain(Error("The code has ended"));
		};
	};

	const scan = (back) => {
		// A new code would cost.
		if (document.hidden) return;
		for (const element of document.querySelectorAll(`wx-qrcode,[${DATA}scene-id],[${DATA}scene-str]`)) {
			if (!keepers.has(element)) keepers.set(element, keeper(element));
			keepers.get(element)(back);
		}
	};
	// Long timers sleep with the phone: the clock decides.
	setInterval(scan, 1_000);
	// Back, or online: what failed is asked for at once.
	for (const event of ["pageshow", "online", "visibilitychange"]) addEventListener(event, () => scan(true));
	const attributeFilter = NAMES.flatMap((name) => [name, DATA + name]);
	new MutationObserver(() => scan()).observe(document, { subtree: true, childList: true, attributeFilter });
	scan();
}
