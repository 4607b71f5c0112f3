//! The sandbox's phone page: a new person presses a button, and the callback gets the event.

use serde_json::{Value, json};

use super::chromium::{Chromium, Page, keep};
use super::{LANGS, SCREENS, check_page};
use crate::support::demo::Demo;
use crate::support::following_client;
use crate::support::owner::{Owner, Reply};
use crate::support::process::Process;

/// `wxqr sandbox` on a port of its own, with a callback. Dropping it ends it.
struct Sandbox {
    /// Without a trailing slash.
    base: String,
    client: reqwest::Client,
    _process: Process,
}

impl Sandbox {
    async fn start(callback: &str) -> Self {
        let arguments = [
            ["sandbox", "--listen", "127.0.0.1:0"],
            ["--account", "wxtest:secret", "--callback-url"],
            [callback, "--callback-token", "Token1"],
        ];
        let process = Process::start(&arguments.concat(), &[]);
        let line = process.wait_for_line("SANDBOX of").await;
        let base = line.split_whitespace().last().unwrap();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            client: following_client(),
            _process: process,
        }
    }

    /// The url of a new code.
    async fn code(&self, scene: &str) -> String {
        let base = &self.base;
        let token =
            format!("{base}/cgi-bin/token?grant_type=client_credential&appid=wxtest&secret=secret");
        let token = self.client.get(token).send().await.unwrap();
        let token: Value = token.json().await.unwrap();
        let token = token["access_token"].as_str().unwrap();
        let create = format!("{base}/cgi-bin/qrcode/create?access_token={token}");
        let body = json!({
            "expire_seconds": 600, "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": scene}},
        });
        let made = self.client.post(create).body(body.to_string()).send().await;
        let made: Value = made.unwrap().json().await.unwrap();
        made["url"].as_str().unwrap().to_owned()
    }
}

/// Presses a button, and waits for the page with the result.
async fn press(page: &mut Page, selector: &str) -> String {
    page.click(selector).await;
    page.loaded().await;
    let place = "(box => [box.top >= 0, box.top < innerHeight / 2])(document.querySelector('[role=status]').getBoundingClientRect())";
    assert_eq!(
        page.eval(place).await,
        json!([true, true]),
        "it is seen at once"
    );
    page.text("document.querySelector('[role=status]').innerText")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_press_of_a_new_person_reaches_the_callback() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let owner = Owner::spawn(|_| Reply::success()).await;
    let sandbox = Sandbox::start(&owner.url).await;
    let url = sandbox.code("展会 A+1").await;
    let mut openids = Vec::new();
    for screen in SCREENS {
        for lang in LANGS {
            let name = format!("phone-pressed-{lang}-{}", screen.name);
            let before = owner.seen().len();
            let mut page = browser.page(screen).await;
            page.open(&format!("{url}?lang={lang}")).await;
            let openid = page.text("document.querySelector('#openid').value").await;
            for (button, event, key) in [
                ("form button", "subscribe", "qrscene_展会 A+1"),
                ("form button", "SCAN", "展会 A+1"),
                ("[value=unfollow]", "unsubscribe", ""),
            ] {
                let said = press(&mut page, button).await;
                keep(&format!("{name}-{event}"), &page.full_screenshot().await);
                check_page(&mut page, &name).await;
                for want in [event, key, "HTTP 200", "success"] {
                    assert!(said.contains(want), "{name}: {want} in {said}");
                }
                let pushed = owner.seen().pop().unwrap().body;
                for want in [
                    format!("<Event><![CDATA[{event}]]>"),
                    format!("<EventKey><![CDATA[{key}]]>"),
                    format!("<FromUserName><![CDATA[{openid}]]>"),
                ] {
                    assert!(pushed.contains(&want), "{name}: {want} in {pushed}");
                }
            }
            assert_eq!(owner.seen().len(), before + 3, "{name}: one push a press");
            let said = press(&mut page, "[value=unfollow]").await;
            assert!(!said.contains("HTTP"), "{name}: {said}");
            keep(&format!("{name}-idle"), &page.full_screenshot().await);
            check_page(&mut page, &name).await;
            assert_eq!(owner.seen().len(), before + 3, "{name}: nothing to leave");
            openids.push(openid);
        }
    }
    openids.sort();
    openids.dedup();
    assert_eq!(openids.len(), 4, "every visitor is somebody new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_fails_is_shown_as_it_is() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let answer = format!("<b>{}</b>", "no ".repeat(500));
    let owner = Owner::spawn(move |_| Reply::Answer(500, answer.clone())).await;
    let sandbox = Sandbox::start(&owner.url).await;
    let url = sandbox.code("poster-7").await;
    for screen in SCREENS {
        for lang in LANGS {
            let name = format!("phone-failed-{lang}-{}", screen.name);
            let mut page = browser.page(screen).await;
            page.open(&format!("{url}?lang={lang}")).await;
            let said = press(&mut page, "form button").await;
            keep(&name, &page.full_screenshot().await);
            check_page(&mut page, &name).await;
            assert!(said.contains("HTTP 500") && said.contains('4'), "{said}");
            assert!(said.contains("<b>no no"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_front_page_fits_every_screen_and_its_buttons_work() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let owner = Owner::spawn(|_| Reply::success()).await;
    let sandbox = Sandbox::start(&owner.url).await;
    sandbox.code("展会 A+1").await;
    let faults = format!("{}/sandbox/faults", sandbox.base);
    let set = async || -> Value {
        let answer = sandbox.client.get(&faults).send().await.unwrap();
        answer.json().await.unwrap()
    };
    for screen in SCREENS {
        for lang in LANGS {
            let name = format!("sandbox-{lang}-{}", screen.name);
            let mut page = browser.page(screen).await;
            page.open(&format!("{}/?lang={lang}", sandbox.base)).await;
            keep(&name, &page.full_screenshot().await);
            check_page(&mut page, &name).await;
            page.click("#times + button").await;
            page.loaded().await;
            assert_eq!(
                set().await.as_array().unwrap().len(),
                1,
                "{name}: it is set"
            );
            check_page(&mut page, &name).await;
            page.click("[name=clear]").await;
            page.loaded().await;
            assert_eq!(set().await, json!([]), "{name}: it is cleared");
            page.click("main li a").await;
            page.loaded().await;
            let button = page
                .text("document.querySelector('form button').value")
                .await;
            assert_eq!(button, "follow", "{name}: the phone");
        }
    }
}

/// A page of another port is of the same site and of another origin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_changes_nothing() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let owner = Owner::spawn(|_| Reply::success()).await;
    let sandbox = Sandbox::start(&owner.url).await;
    let url = sandbox.code("poster-7").await;
    let mut page = browser.page(SCREENS[0]).await;
    page.open(&owner.url).await;
    for (url, form) in [
        (
            format!("{}/sandbox/faults", sandbox.base),
            "api=any&kind=hang",
        ),
        (url, "do=follow"),
    ] {
        let sent = format!(
            "fetch('{url}', {{method: 'POST', mode: 'no-cors', body: new URLSearchParams('{form}')}}).then(answer => answer.type)"
        );
        assert_eq!(page.eval(&sent).await, "opaque", "it reached the sandbox");
    }
    let faults = format!("{}/sandbox/faults", sandbox.base);
    let faults = sandbox.client.get(faults).send().await.unwrap();
    assert_eq!(faults.json::<Value>().await.unwrap(), json!([]));
    // The page itself and its icon were asked for, without a body.
    assert!(
        owner.seen().iter().all(|request| request.body.is_empty()),
        "nobody followed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_page_opens_the_phone_beside_it() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let demo = Demo::start().await;
    let link = "(link => [link.href, link.target])(document.querySelector('.actions .quiet'))";
    for (lang, button) in [("zh", "扫码并关注"), ("en", "Scan and follow")] {
        let mut page = browser.page(SCREENS[0]).await;
        page.open(&demo.url(&format!("/?lang={lang}"))).await;
        let link = page.eval(link).await;
        assert_eq!(link[1], "_blank");
        page.open(link[0].as_str().unwrap()).await;
        let said = page.text("document.querySelector('form button').innerText");
        assert_eq!(said.await, button);
    }
}
