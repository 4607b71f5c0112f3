//! The list, page by page, written while it is sent.

use axum::body::Body;
use futures_util::stream;

use crate::channels::{ChannelStore, ListedCode, Page, Position};
use crate::db;
use crate::http::api::codes::selection::Selection;

/// The codes of a page of a sheet. Chosen: some 300 kB, read in a few milliseconds.
pub(super) const SHEET_PAGE: u16 = 500;

/// What writes codes to a file.
pub(super) trait Sink: Send + 'static {
    /// Writes codes, and returns what is ready to be sent.
    fn write(&mut self, codes: Vec<ListedCode>) -> Vec<u8>;

    /// Writes the end, and returns the rest.
    fn finish(self) -> Vec<u8>;
}

/// The selected codes, of which one page is in memory.
pub(super) struct Pages {
    channels: ChannelStore,
    selection: Selection,
    codes: u16,
    first: Option<Page>,
    next: Option<Position>,
}

impl Pages {
    /// Pages of so many codes. Reads the first, so that what can fail fails before the answer
    /// begins.
    pub(super) async fn of(
        channels: ChannelStore,
        selection: Selection,
        codes: u16,
    ) -> Result<Self, db::Error> {
        let mut pages = Self {
            channels,
            selection,
            codes,
            first: None,
            next: None,
        };
        pages.first = Some(pages.read().await?);
        Ok(pages)
    }

    pub(super) async fn next(&mut self) -> Result<Option<Vec<ListedCode>>, db::Error> {
        let page = match self.first.take() {
            Some(first) => first,
            None if self.next.is_none() => return Ok(None),
            None => self.read().await?,
        };
        self.next = page.next;
        Ok(Some(page.items))
    }

    async fn read(&self) -> Result<Page, db::Error> {
        let Selection { filter, order } = &self.selection;
        let after = self.next.as_ref();
        self.channels.list(filter, *order, after, self.codes).await
    }
}

/// A body of all pages. A failure of the database cuts it off, so that no client takes a part for
/// the whole.
pub(super) fn body<S: Sink>(pages: Pages, sink: S) -> Body {
    let pieces = stream::try_unfold((pages, Some(sink)), async |(mut pages, sink)| {
        let Some(mut sink) = sink else {
            return Ok::<_, db::Error>(None);
        };
        Ok(Some(match pages.next().await? {
            Some(codes) => (sink.write(codes), (pages, Some(sink))),
            None => (sink.finish(), (pages, None)),
        }))
    });
    Body::from_stream(pieces)
}
