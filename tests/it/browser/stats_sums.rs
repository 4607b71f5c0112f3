//! Totals on the page of the statistics, for random numbers: those of a group are the sums of its
//! rows, and both they and the period before are what the API has.

use jiff::ToSpan as _;
use jiff::civil::Date;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use wechat::event::EventKind;

use super::chromium::{Chromium, Page, Screen};
use crate::support::followers::{Deed, Followed};
use crate::support::keys;

const ROUNDS: usize = 6;

/// The days in which something happens.
const FIRST: Date = Date::constant(2026, 10, 1);
const DAYS: i32 = 20;

/// Groups of the codes; the last code has none.
const GROUPS: [&str; 4] = ["上海", "上海", "A&B = \"C\"", ""];

/// The numbers that add up over codes.
const NUMBERS: [&str; 4] = ["scans", "new_followers", "lost", "net"];

/// An event of the test: the follower, the kind, the day and the code.
type RandomDeed = (u32, EventKind, i32, usize);

fn random_deeds() -> impl Strategy<Value = Vec<RandomDeed>> {
    let kinds = select(vec![
        EventKind::Subscribe,
        EventKind::Scan,
        EventKind::Scan,
        EventKind::Unsubscribe,
    ]);
    let deed = (0..12_u32, kinds, 0..DAYS, 0..GROUPS.len());
    proptest::collection::vec(deed, 40..160)
}

/// A group, or none for all; the first day and the last.
fn random_view() -> impl Strategy<Value = (&'static str, Date, Date)> {
    let view = (select(&["上海", "A&B = \"C\"", ""][..]), 0..DAYS, 0..DAYS);
    view.prop_map(|(group, one, other)| {
        let day = |days: i32| FIRST + days.days();
        (group, day(one.min(other)), day(one.max(other)))
    })
}

async fn record(followed: &Followed, deeds: &[RandomDeed]) {
    let mut tickets = Vec::new();
    for (n, group) in GROUPS.iter().enumerate() {
        let code = json!({"scene_str": format!("s{n}"), "permanent": true, "group": group});
        tickets.push((followed.code(&code).await, format!("s{n}")));
    }
    let mut deeds = deeds.to_vec();
    deeds.sort_by_key(|(_, _, day, _)| *day);
    let moments: Vec<_> = deeds
        .iter()
        .enumerate()
        .map(|(n, (who, _, day, _))| {
            let day = FIRST + day.days();
            let at = format!("{day}T{:02}:{:02}:00+08:00", 1 + n / 60, n % 60);
            (format!("oPerson_{who}"), at)
        })
        .collect();
    let deeds: Vec<_> = deeds
        .iter()
        .zip(&moments)
        .map(|((_, kind, _, code), (who, at))| {
            let (ticket, scene) = &tickets[*code];
            let has_code = *kind != EventKind::Unsubscribe;
            Deed {
                who,
                kind: *kind,
                at,
                code: has_code.then_some((ticket.as_str(), scene.as_str())),
            }
        })
        .collect();
    followed.record(&deeds).await;
}

/// What the API has for all rows together, and as the sum of the rows.
async fn sums(followed: &Followed, group: &str, from: Date, to: Date) -> Vec<i64> {
    let mut query = form_urlencoded(&[("from", &from.to_string()), ("to", &to.to_string())]);
    if !group.is_empty() {
        query = format!("{query}&{}", form_urlencoded(&[("group", group)]));
    }
    let rows = followed.rows(&query).await;
    let sum = |name: &str| rows.iter().map(|row| row[name].as_i64().unwrap()).sum();
    let sums: Vec<i64> = NUMBERS.iter().map(|name| sum(name)).collect();
    let at_once = followed.rows(&format!("{query}&sum=true")).await;
    let at_once = NUMBERS.map(|name| at_once[0][name].as_i64().unwrap());
    assert_eq!(sums, at_once, "{query}");
    sums
}

fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// The numbers in texts such as `before: 3, change −1 (−33.3%)`, the first of each.
async fn numbers_in(page: &mut Page, attribute: &str) -> Vec<i64> {
    let script = format!(
        "{}.map(name => document.querySelector(`[data-{attribute}=${{name}}]`).textContent.replaceAll(',', '').match(/[−-]?\\d+/)[0].replace('−', '-'))",
        json!(NUMBERS)
    );
    let texts = page.eval(&script).await;
    let texts = texts.as_array().unwrap().iter();
    texts
        .map(|text| text.as_str().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_of_a_group_and_of_the_period_before_are_the_apis() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let mut runner = TestRunner::default();
    let followed = Followed::with(|builder| builder.set("CALLBACK_TOKEN", "token123")).await;
    let deeds = random_deeds().new_tree(&mut runner).unwrap().current();
    record(&followed, &deeds).await;
    let mut page = browser.page(Screen::DESK).await;
    for _ in 0..ROUNDS {
        let (group, from, to) = random_view().new_tree(&mut runner).unwrap().current();
        let (from_text, to_text) = (from.to_string(), to.to_string());
        let query = form_urlencoded(&[
            ("lang", "en"),
            ("group", group),
            ("from", &from_text),
            ("to", &to_text),
        ]);
        page.open(&followed.app.url(&format!("/stats?{query}")))
            .await;
        if page.eval("board.hidden").await == Value::Bool(true) {
            page.enter(keys::STATS).await;
        }
        page.until("!board.hidden && live.textContent").await;
        let days = (to - from).get_days() + 1;
        let (earlier, before) = (from - days.days(), from - 1.day());
        let context = format!("{group} {from} {to}: {deeds:?}");
        let want = sums(&followed, group, from, to).await;
        assert_eq!(numbers_in(&mut page, "number").await, want, "{context}");
        let want = sums(&followed, group, earlier, before).await;
        assert_eq!(numbers_in(&mut page, "before").await, want, "{context}");
        let lines = "[...document.querySelectorAll('#channels tbody tr')].map(line => Number(line.querySelector('[data-cell=scans]').textContent.replaceAll(',', '')))";
        let lines = page.eval(lines).await;
        let shown: i64 = lines
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_i64().unwrap())
            .sum();
        let total = numbers_in(&mut page, "number").await[0];
        assert_eq!(shown, total, "{context}");
    }
}
