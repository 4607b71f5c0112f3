//! Text to a QR picture, PNG or SVG. Pure and synchronous; knows nothing of HTTP or WeChat. Read [`Symbol`] first.

use fast_qr::{ECL, QRBuilder};

/// A QR symbol: a square of dark and light modules, without the margin around it.
///
/// Error correction is level M (15 % of the symbol may be lost), raised to Q (25 %) or H (30 %) where that costs nothing,
/// that is, where the symbol does not grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    width: usize,
    /// Row by row, `true` is dark.
    modules: Vec<bool>,
}

impl Symbol {
    /// Makes the symbol of a text, which readers give back byte for byte.
    ///
    /// # Errors
    ///
    /// [`RenderError::TooLong`] when not even the largest symbol holds the text.
    pub fn encode(text: &str) -> Result<Self, RenderError> {
        let mut builder = QRBuilder::new(text);
        let medium = builder
            .ecl(ECL::M)
            .build()
            .map_err(|_| RenderError::TooLong)?;
        // With its version fixed, the builder refuses a level that needs a larger symbol.
        if let Some(version) = medium.version {
            builder.version(version);
        }
        let code = [ECL::H, ECL::Q]
            .into_iter()
            .find_map(|level| builder.ecl(level).build().ok())
            .unwrap_or(medium);
        Ok(Self {
            width: code.size,
            modules: code.data[..code.size * code.size]
                .iter()
                .map(|module| module.value())
                .collect(),
        })
    }

    /// How many modules it has on a side, without the margin.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether the module in column `x` of row `y` is dark, both counted from zero at the top left.
    ///
    /// # Panics
    ///
    /// Where there is no such module.
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        assert!(x < self.width, "column {x} of {}", self.width);
        self.modules[y * self.width + x]
    }
}

/// Why no picture was drawn. The message says what would be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The text fits no symbol.
    #[error("must be a text of at most 2331 bytes, the most that a QR code of this quality holds")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_as_small_as_level_m_allows() {
        // Lengths at the edges of the byte-mode capacities at level M, by ISO/IEC 18004 table 7.
        for (length, want) in [
            (1, Ok(21)),
            (14, Ok(21)),
            (15, Ok(25)),
            (26, Ok(25)),
            (27, Ok(29)),
            (42, Ok(29)),
            (43, Ok(33)),
            (256, Ok(65)),
            (2331, Ok(177)),
            (2332, Err(RenderError::TooLong)),
        ] {
            let got = Symbol::encode(&"a".repeat(length)).map(|symbol| symbol.width());
            assert_eq!(got, want, "{length} bytes");
        }
    }
}
