//! Encoding of a text as a matrix of modules.

use std::ops::Range;

use fast_qr::{ECL, QRBuilder};

use crate::error::RenderError;

/// A QR symbol: a square matrix of dark and light modules, without the quiet zone around it.
///
/// The version is the smallest that holds the text at error correction level M (15 % of the symbol
/// may be lost). The level is raised to Q (25 %) or H (30 %) where the version stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    width: usize,
    /// Row by row; `true` is dark.
    modules: Vec<bool>,
}

impl Symbol {
    /// Encodes a text as a symbol that readers decode to the same bytes.
    ///
    /// # Errors
    ///
    /// [`RenderError::TooLong`] when the text exceeds the capacity of the largest version.
    pub fn encode(text: &str) -> Result<Self, RenderError> {
        let mut builder = QRBuilder::new(text);
        let medium = builder
            .ecl(ECL::M)
            .build()
            .map_err(|_| RenderError::TooLong)?;
        // With its version fixed, the builder refuses a level that needs a larger one.
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

    /// Returns the number of modules on a side, without the quiet zone.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns whether the module at column `x` and row `y` is dark.
    ///
    /// Both count from zero at the top left.
    ///
    /// # Panics
    ///
    /// If the symbol has no such module.
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        assert!(x < self.width, "column {x} of {}", self.width);
        self.modules[y * self.width + x]
    }

    /// Returns the runs of consecutive dark modules of a row, from left to right.
    pub(crate) fn dark_runs(&self, row: usize) -> impl Iterator<Item = Range<usize>> {
        let mut end = 0;
        self.modules[row * self.width..][..self.width]
            .chunk_by(|left, right| left == right)
            .filter_map(move |run| {
                let start = end;
                end += run.len();
                run[0].then_some(start..end)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_smallest_that_level_m_allows() {
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

    #[test]
    fn error_correction_is_raised_while_the_version_stays() {
        // A reader gives the level as the symbol's two bits: M is 0, H is 2, Q is 3. Capacities as
        // above: a symbol of 21 modules holds 14, 11 and 7 bytes at M, Q and H; one of 33 holds 62,
        // 46 and 34.
        const M: u16 = 0;
        const H: u16 = 2;
        const Q: u16 = 3;
        for (length, want) in [
            (1, H),
            (7, H),
            (8, Q),
            (11, Q),
            (12, M),
            (14, M),
            (43, Q),
            (46, Q),
            (47, M),
            (62, M),
        ] {
            let symbol = Symbol::encode(&"a".repeat(length)).unwrap();
            let grid = rqrr::SimpleGrid::from_func(symbol.width(), |x, y| symbol.is_dark(x, y));
            let (meta, text) = rqrr::Grid::new(grid).decode().unwrap();
            assert_eq!(text, "a".repeat(length));
            assert_eq!(meta.ecc_level, want, "{length} bytes");
        }
    }
}
