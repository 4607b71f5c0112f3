use super::*;
use crate::app::build::KEYED_BODIES;
use crate::codes::{MAX_CONCURRENT_MINTS, MINT_TIMEOUT};
use crate::config::{Fallback, SETTINGS};
use crate::pictures;
use crate::statistics::RECORD_TIMEOUT;

const OPERATING: &str = include_str!("../../../docs/operating.md");
const OPERATING_ZH: &str = include_str!("../../../docs/zh/operating.md");
const WALKTHROUGHS: &str = include_str!("../../../docs/walkthroughs.md");

/// A text on one line, because pages are wrapped anywhere.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_pages_have_the_numbers_of_the_code() {
    let seconds = |time: Duration| time.as_secs();
    let (body, write, idle) = (
        seconds(BODY_TIMEOUT),
        seconds(WRITE_TIMEOUT),
        seconds(IDLE_TIMEOUT),
    );
    let (grace, rate) = (seconds(BODY_GRACE), MIN_BODY_RATE / 1024);
    let keyed = KEYED_BODIES / (1024 * 1024);
    for (page, phrase) in [
        (
            OPERATING,
            format!(
                "{body} s for its body, {write} s to take the answer, and {idle} s until its next request"
            ),
        ),
        (
            OPERATING,
            format!("After {grace} s a body must arrive at {rate} KiB a second"),
        ),
        (OPERATING, format!("{keyed} MiB for requests with a key")),
        (
            OPERATING,
            format!("closes an idle connection after {idle} s"),
        ),
        (
            OPERATING_ZH,
            format!("{body} 秒内发完请求内容，{write} 秒内收完应答，{idle} 秒内发出下一个请求"),
        ),
        (
            OPERATING_ZH,
            format!("{grace} 秒之后平均每秒至少须到达 {rate} KiB"),
        ),
        (OPERATING_ZH, format!("带密钥的请求 {keyed} MiB")),
        (
            WALKTHROUGHS,
            format!("one of {MAX_CONCURRENT_MINTS} upstream permits"),
        ),
        (
            WALKTHROUGHS,
            format!("the task, which has {} s", seconds(MINT_TIMEOUT)),
        ),
        (
            WALKTHROUGHS,
            format!("{grace} s, and a second for each {rate} KiB, {body} s at most"),
        ),
        (
            WALKTHROUGHS,
            format!(
                "first host ends after {} s",
                wechat::ATTEMPT_TIMEOUT.as_secs_f32()
            ),
        ),
        (
            WALKTHROUGHS,
            format!("Without a result in {} s", RECORD_TIMEOUT.as_secs_f32()),
        ),
    ] {
        assert!(unwrapped(page).contains(&phrase), "{phrase}");
    }
}

#[test]
fn a_visitor_waits_as_long_for_a_picture_as_for_wechat() {
    let setting = SETTINGS.iter().find(|it| it.name == "upstream-timeout");
    let seconds = format!("{}s", pictures::DRAW_TIMEOUT.as_secs());
    let default = setting.expect("the setting exists").fallback;
    assert!(
        matches!(default, Fallback::Value(text) if text == seconds),
        "{default:?}"
    );
}
