//! The JPEG that `showqrcode` answers: the QR code and the word SANDBOX.

use jpeg_encoder::{ColorType, Encoder};
use qr_image::Symbol;

/// Pixels on a side. Widely said of WeChat's; not documented.
const SIDE: usize = 430;
/// `SIDE` as the encoder takes it.
const SIDE_U16: u16 = 430;
/// The quiet zone in modules (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;
/// Pixels kept free at the bottom for the word.
const BAND: usize = 40;
/// Pixels of a dot of the word's letters.
const DOT: usize = 4;
/// Quality of the JPEG, of 100: letters and modules stay sharp.
const QUALITY: u8 = 90;

const WHITE: u8 = 255;
const BLACK: u8 = 0;

/// S, A, N, D, B, O, X: seven rows of five dots each, the leftmost in the highest of the five bits.
const WORD: [[u8; 7]; 7] = [
    [
        0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110,
    ],
    [
        0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001,
    ],
    [
        0b10001, 0b11001, 0b11001, 0b10101, 0b10011, 0b10011, 0b10001,
    ],
    [
        0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11110,
    ],
    [
        0b11110, 0b10001, 0b10001, 0b11110, 0b10001, 0b10001, 0b11110,
    ],
    [
        0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110,
    ],
    [
        0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001,
    ],
];
/// Dots from one letter to the next.
const LETTER_PITCH: usize = 6;
const LETTER_HEIGHT: usize = 7;

/// Why a picture was not drawn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PictureError {
    /// The sandbox was given a base that no QR code holds.
    #[error("the url of the code fits no QR code")]
    Symbol(#[from] qr_image::RenderError),
    /// The encoder failed.
    #[error("the picture was not encoded")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
}

/// Draws the url's symbol and the word below it.
pub(crate) fn jpeg(url: &str) -> Result<Vec<u8>, PictureError> {
    let mut canvas = Canvas::new();
    canvas.draw_symbol(&Symbol::encode(url)?);
    canvas.draw_word();
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, QUALITY).encode(&canvas.pixels, SIDE_U16, SIDE_U16, ColorType::Luma)?;
    Ok(jpeg)
}

/// Grey pixels, row by row.
struct Canvas {
    pixels: Vec<u8>,
}

impl Canvas {
    fn new() -> Self {
        Self {
            pixels: vec![WHITE; SIDE * SIDE],
        }
    }

    /// Draws the symbol with whole pixels per module: two for the largest, of 177 modules.
    fn draw_symbol(&mut self, symbol: &Symbol) {
        let module = (SIDE - BAND) / (symbol.width() + 2 * QUIET_ZONE);
        let left = (SIDE - symbol.width() * module) / 2;
        let top = (SIDE - BAND - symbol.width() * module) / 2;
        for y in 0..symbol.width() {
            for x in 0..symbol.width() {
                if symbol.is_dark(x, y) {
                    self.fill_square(left + x * module, top + y * module, module);
                }
            }
        }
    }

    fn draw_word(&mut self) {
        let left = (SIDE - (WORD.len() * LETTER_PITCH - 1) * DOT) / 2;
        let top = SIDE - BAND + (BAND - LETTER_HEIGHT * DOT) / 2 - DOT;
        for (nth, letter) in WORD.iter().enumerate() {
            for (y, row) in letter.iter().enumerate() {
                for x in (0..5).filter(|x| row & (0b10000 >> x) != 0) {
                    let column = nth * LETTER_PITCH + x;
                    self.fill_square(left + column * DOT, top + y * DOT, DOT);
                }
            }
        }
    }

    fn fill_square(&mut self, left: usize, top: usize, side: usize) {
        for row in self.pixels.chunks_exact_mut(SIDE).skip(top).take(side) {
            row[left..left + side].fill(BLACK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(jpeg: &[u8]) -> (image::GrayImage, Vec<String>) {
        let image = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg)
            .unwrap()
            .to_luma8();
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(SIDE, SIDE, |x, y| {
            image.as_raw()[y * SIDE + x]
        });
        let texts = prepared
            .detect_grids()
            .iter()
            .map(|grid| grid.decode().unwrap().1)
            .collect();
        (image, texts)
    }

    #[test]
    fn the_picture_decodes_to_the_url() {
        let long = format!(
            "https://{}.example/q/02aaaaaaaaaaaaaaaaaaaa",
            "a".repeat(150)
        );
        for url in [
            "http://weixin.qq.com/q/02kZgfwMTm72WWPkovabbI",
            "http://127.0.0.1:8081/q/02kZgfwMTm72WWPkovabbI",
            &long,
        ] {
            let (image, texts) = read(&jpeg(url).unwrap());
            assert_eq!(image.dimensions(), (430, 430));
            assert_eq!(texts, [url]);
        }
    }

    #[test]
    fn the_word_is_in_the_picture() {
        let (image, _) = read(&jpeg("http://localhost/q/02a").unwrap());
        let lines: Vec<String> = (0..7)
            .map(|y| {
                (0..41)
                    .map(|x| {
                        let pixel = image.get_pixel(133 + x * 4 + 2, 392 + y * 4 + 2);
                        if pixel.0[0] < 128 { '#' } else { ' ' }
                    })
                    .collect()
            })
            .collect();
        assert_eq!(
            lines,
            [
                " ####  ###  #   # ####  ####   ###  #   #",
                "#     #   # ##  # #   # #   # #   # #   #",
                "#     #   # ##  # #   # #   # #   #  # # ",
                " ###  ##### # # # #   # ####  #   #   #  ",
                "    # #   # #  ## #   # #   # #   #  # # ",
                "    # #   # #  ## #   # #   # #   # #   #",
                "####  #   # #   # ####  ####   ###  #   #",
            ]
        );
    }

    #[test]
    fn the_largest_symbol_still_fits() {
        assert!(jpeg(&"x".repeat(2331)).is_ok());
        assert!(jpeg(&"x".repeat(2332)).is_err());
    }
}
