//! Writes workbooks and archives piece by piece.

mod archive;
mod cell;
mod file_name;
mod pieces;
mod sheet_xml;
mod spool;
mod workbook;

pub use self::archive::Archive;
pub use self::cell::{Cell, Heading, Width};
pub use self::file_name::FileNames;
pub use self::spool::Spool;
pub use self::workbook::Workbook;
