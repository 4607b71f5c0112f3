#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod proposal;
mod read;
mod write;

pub use self::proposal::scene_candidates;
pub use self::read::{ChannelList, ChannelRow, Column, FileError, FileFormat, RowFault, read};
pub use self::read::{MAX_ROWS, MAX_UNPACKED};
pub use self::write::{Archive, Cell, FileNames, Heading, Spool, Width, Workbook};
