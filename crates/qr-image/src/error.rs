//! Why drawing fails.

/// Why no image was drawn; the message says what would be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The text exceeds the capacity of the largest symbol, version 40 at error correction level M.
    #[error("must be a text of at most 2331 bytes, the most that a QR code of this quality holds")]
    TooLong,
    /// The image has too few pixels for the symbol and its quiet zone.
    #[error("must be at least {min_size} pixels for this code with this margin, but is {size}")]
    TooSmall {
        /// The width that was asked for, in pixels.
        size: usize,
        /// The smallest width that works with this text and margin, in pixels.
        min_size: usize,
    },
}
