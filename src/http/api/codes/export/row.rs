//! A code as a row of a file.

use jiff::Timestamp;
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
