//! A code as a row of a file.

use jiff::Timestamp;
use wechat::push::Reply;
use wechat::scene::SceneValue;

use crate::access::Caller;
use crate::channels::{ChannelRecord, ListedCode};
use crate::http::qrcode::body::{CodePresenter, TicketBody};
use crate::http::qrcode::link::LinkQuery;

/// A code, as its owner would write it down, with its links.
pub(super) struct CodeRow {
    pub(super) scene_str: String,
    pub(super) scene_id: String,
    pub(super) permanent: bool,
    pub(super) expire_seconds: Option<u32>,
    pub(super) record: ChannelRecord,
    pub(super) expires_at: Option<Timestamp>,
    /// Absent where the outcome of a mint is not known.
    pub(super) ticket: Option<TicketBody>,
}

impl CodeRow {
    /// The scene, whether it is a text or a number.
    pub(super) fn scene(&self) -> &str {
        if self.scene_str.is_empty() {
            &self.scene_id
        } else {
            &self.scene_str
        }
    }
}

/// The links of a row, empty where there is no code.
#[derive(Default)]
pub(super) struct Links<'a> {
    pub(super) url: &'a str,
    pub(super) png: &'a str,
    pub(super) svg: &'a str,
    pub(super) image: &'a str,
    pub(super) ticket: &'a str,
}

impl<'a> Links<'a> {
    pub(super) fn of(row: &'a CodeRow) -> Self {
        let Some(ticket) = &row.ticket else {
            return Self::default();
        };
        Self {
            url: &ticket.url,
            png: ticket.png_url.as_deref().unwrap_or_default(),
            svg: ticket.svg_url.as_deref().unwrap_or_default(),
            image: &ticket.image_url,
            ticket: &ticket.ticket,
        }
    }
}

/// The reply of a row, as it is read back from a file: a text, or a card.
#[derive(Default)]
pub(super) struct ReplyCells<'a> {
    pub(super) text: &'a str,
    /// The card as JSON, as it is read back too.
    pub(super) news: String,
}

impl<'a> ReplyCells<'a> {
    pub(super) fn of(row: &'a CodeRow) -> Self {
        match &row.record.reply {
            None => Self::default(),
            Some(Reply::Text(text)) => Self {
                text: text.as_str(),
                news: String::new(),
            },
            Some(Reply::News(article)) => Self {
                text: "",
                news: serde_json::to_string(article).expect("it has texts only"),
            },
        }
    }
}

/// Makes rows for a caller.
pub(super) struct Presenter {
    codes: CodePresenter,
    caller: Caller,
    now: Timestamp,
}

impl Presenter {
    pub(super) fn new(codes: CodePresenter, caller: Caller, now: Timestamp) -> Self {
        Self { codes, caller, now }
    }

    pub(super) fn row(&self, listed: ListedCode) -> CodeRow {
        let (scene_str, scene_id) = match listed.scene.value() {
            SceneValue::Text(text) => (text.to_owned(), String::new()),
            SceneValue::Id(id) => (String::new(), id.to_string()),
        };
        let code = listed.code.as_ref();
        let asked = code.and_then(wechat::ticket::IssuedCode::asked);
        let ticket = code.map(|code| {
            let link = LinkQuery::to(&listed.scene, asked);
            self.codes.ticket(code, link, &self.caller, self.now)
        });
        CodeRow {
            scene_str,
            scene_id,
            permanent: listed.scene.kind().is_permanent(),
            expire_seconds: asked.map(wechat::scene::Lifetime::as_secs),
            expires_at: code.and_then(wechat::ticket::IssuedCode::expires_at),
            record: listed.record,
            ticket,
        }
    }
}
