//! Pictures and rows on their way into an archive.

use std::iter::once;

use channel_files::{Archive, FileNames, Spool};
use qr_image::Style;

use crate::channels::ListedCode;
use crate::http::api::codes::export::csv_sheet::{COLUMNS, lines, values};
use crate::http::api::codes::export::row::{CodeRow, Presenter};
use crate::pictures::{ImageFormat, draw};

/// The entry with the rows.
const ROWS: &str = "codes.csv";

/// An archive that is taken while it is written. Each entry has one piece of memory at a time; what
/// stays until the end is its name in the directory, and its row.
pub(super) struct PictureArchive {
    archive: Archive,
    names: FileNames,
    rows: Spool,
    presenter: Presenter,
    format: ImageFormat,
    style: Style,
}

impl PictureArchive {
    pub(super) fn new(presenter: Presenter, format: ImageFormat, style: Style) -> Self {
        let mut rows = Spool::new();
        let headings = once("file").chain(COLUMNS).map(str::to_owned);
        rows.write(&lines(once(headings)));
        Self {
            archive: Archive::new(),
            names: FileNames::default(),
            rows,
            presenter,
            format,
            style,
        }
    }

    /// Draws codes, and returns what is ready to be sent. Some milliseconds of work.
    pub(super) fn write(&mut self, codes: Vec<ListedCode>) -> Vec<u8> {
        for listed in codes {
            let code = listed.code.as_ref();
            // One that does not fit has no picture.
            let picture = code.and_then(|code| draw(&code.url, self.format, &self.style).ok());
            let row = self.presenter.row(listed);
            let file = picture.map(|picture| self.add(&row, &picture));
            let row = once(file.unwrap_or_default()).chain(values(&row));
            self.rows.write(&lines(once(row)));
        }
        self.archive.take()
    }

    /// Adds a picture, and returns the name of its file.
    fn add(&mut self, row: &CodeRow, picture: &[u8]) -> String {
        let label = row.record.channel.label.as_deref();
        let extension = match self.format {
            ImageFormat::Png => "png",
            ImageFormat::Svg => "svg",
        };
        let name = self.names.name(label.unwrap_or_else(|| row.scene()));
        let name = format!("{name}.{extension}");
        self.archive.begin(&name);
        self.archive.write(picture);
        name
    }

    /// Writes the rows and the end, and returns the rest in pieces.
    pub(super) fn finish(mut self) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
        self.archive.begin(ROWS);
        let (mut archive, mut rows) = (Some(self.archive), self.rows.into_pieces());
        std::iter::from_fn(move || match (rows.next(), &mut archive) {
            (Some(piece), Some(archive)) => {
                archive.write(&piece);
                Some(archive.take())
            }
            _ => archive.take().map(Archive::finish),
        })
    }
}
