//! Every drawn image decodes to its text: by rqrr, and by zbar where it is installed.

use std::process::{Command, Stdio};

use image::RgbaImage;
use image::imageops::{self, FilterType};
use proptest::prelude::*;

use super::raster::{pixels_of_png, pixels_of_svg};
use super::{URL, style};
use crate::color::{Colors, Rgb};
use crate::error::RenderError;
use crate::size::{Margin, PixelSize};
use crate::style::Style;
use crate::{png, svg};

/// In black on white, 196 pixels wide, rqrr 0.11 finds this symbol but does not decode it.
const HARD_FOR_RQRR: &str = "https://fdqhc.example/S@V<HZ4k/2F:I&u$?,K=d%:c2$hv@[.:?[d=2GG`?T_=33-%U*/{40I.!80Gq%'<&zJD{+pD";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(320))]

    #[test]
    fn every_png_decodes_to_its_text(text in texts(), style in styles()) {
        let file = png(&text, &style);
        check_refusal(file.as_ref().err(), &text, &style)?;
        if let Ok(file) = file {
            check_decodes(&pixels_of_png(&file), &text, &style)?;
        }
    }

    #[test]
    fn every_svg_decodes_to_its_text(text in texts(), style in styles()) {
        let file = svg(&text, &style);
        check_refusal(file.as_ref().err(), &text, &style)?;
        if let Ok(file) = file {
            check_decodes(&pixels_of_svg(&file), &text, &style)?;
        }
    }
}

#[test]
fn dark_green_on_red_decodes() {
    let text = "http://weixin.qq.com/q/AAaAaA00aaAaA0aa000A";
    let colors = Colors::new("10340d".parse().unwrap(), "f60000".parse().unwrap()).unwrap();
    let style = Style {
        colors,
        ..style(102, 0)
    };
    let image = pixels_of_svg(&svg(text, &style).unwrap());
    check_decodes(&image, text, &style).unwrap();
}

#[test]
fn a_symbol_that_rqrr_misses_decodes_at_twice_the_size() {
    let style = style(196, 4);
    let image = pixels_of_png(&png(HARD_FOR_RQRR, &style).unwrap());
    check_decodes(&image, HARD_FOR_RQRR, &style).unwrap();
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn zbar_decodes_the_smallest_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("code.png");
    let long = format!("{URL}?{}", "a1-".repeat(70));
    for (text, size, margin) in [
        (URL, 66, 0),
        (URL, 82, 4),
        (URL, 430, 4),
        (URL, 2048, 16),
        (HARD_FOR_RQRR, 196, 4),
        (&long, 154, 4),
        (&long, 430, 0),
    ] {
        let style = style(size, margin);
        let page = on_page(&pixels_of_png(&png(text, &style).unwrap()), &style);
        page.save(&path).unwrap();
        let decoded = Command::new("zbarimg")
            .args(["--quiet", "--raw"])
            .arg(&path)
            .stderr(Stdio::null())
            .output();
        let Ok(decoded) = decoded else {
            let required = std::env::var_os("REQUIRE_ZBAR").is_some();
            assert!(!required, "REQUIRE_ZBAR is set, but zbarimg is missing");
            eprintln!("skipped: zbarimg is not installed");
            return;
        };
        let got = String::from_utf8_lossy(&decoded.stdout);
        assert_eq!(got.trim_end(), text, "size {size}, margin {margin}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "http://weixin\\.qq\\.com/q/[A-Za-z0-9]{20,22}",
        1 => "https://[a-z]{3,12}\\.example/[!-~]{1,220}",
    ]
}

/// Mostly small images, which are the hardest to decode, in any two colours that are accepted.
fn styles() -> impl Strategy<Value = Style> {
    let sizes = prop_oneof![
        12 => 64..=320_u16,
        3 => 321..=800_u16,
        1 => 801..=PixelSize::MAX,
    ];
    let colors = any::<([u8; 3], [u8; 3])>().prop_filter_map("too close", |(one, other)| {
        Colors::new(Rgb(one), Rgb(other))
            .or_else(|_| Colors::new(Rgb(other), Rgb(one)))
            .ok()
    });
    (sizes, 0..=Margin::MAX, colors).prop_map(|(size, margin, colors)| Style {
        colors,
        ..style(size, margin)
    })
}

/// Checks that an image is refused only for its size, and that the size named by the error works.
fn check_refusal(
    error: Option<&RenderError>,
    text: &str,
    style: &Style,
) -> Result<(), TestCaseError> {
    let Some(error) = error else { return Ok(()) };
    let &RenderError::TooSmall { size, min_size } = error else {
        return Err(TestCaseError::fail(error.to_string()));
    };
    prop_assert_eq!(size, usize::from(style.size.get()));
    let with_size = |size| Style {
        size: PixelSize(u16::try_from(size).unwrap()),
        ..*style
    };
    prop_assert!(png(text, &with_size(min_size)).is_ok());
    prop_assert!(png(text, &with_size(min_size - 1)).is_err());
    Ok(())
}

/// Checks that the image has the size asked for and decodes to the text.
fn check_decodes(image: &RgbaImage, text: &str, style: &Style) -> Result<(), TestCaseError> {
    let size = u32::from(style.size.get());
    prop_assert_eq!(image.dimensions(), (size, size));

    // rqrr misplaced its grid on one image of some 8000 (`HARD_FOR_RQRR`), in black on white too,
    // while zbar decoded it. So it gets a second try at twice the size, as a phone moves closer.
    let page = on_page(image, style);
    let mut texts = decode(&page);
    if texts.is_empty() {
        let (width, height) = (page.width() * 2, page.height() * 2);
        texts = decode(&imageops::resize(&page, width, height, FilterType::Nearest));
    }
    prop_assert_eq!(texts, [text]);
    Ok(())
}

/// Decodes all symbols of an image in grey, as a camera sees it: by luminance, which the contrast
/// is measured in too. In a weighted sum of the colour channels a bright red is close to a dark
/// green.
fn decode(page: &RgbaImage) -> Vec<String> {
    // Neighbouring pixels mostly share a colour.
    let mut last = ([0; 3], 0);
    let side = |length: u32| usize::try_from(length).unwrap();
    let (width, height) = (side(page.width()), side(page.height()));
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        let [r, g, b, _] = page.as_raw().as_chunks::<4>().0[y * width + x];
        if last.0 != [r, g, b] {
            last = ([r, g, b], grey([r, g, b]));
        }
        last.1
    });
    prepared
        .detect_grids()
        .iter()
        .filter_map(|grid| grid.decode().ok())
        .map(|(_, text)| text)
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a luminance is from 0 to 1"
)]
fn grey(rgb: [u8; 3]) -> u8 {
    (Rgb(rgb).luminance().powf(1.0 / 2.2) * 255.0).round() as u8
}

/// Adds a border in the background's colour where the margin is below the 4 modules that decoders
/// need, as a page around the image would.
fn on_page(image: &RgbaImage, style: &Style) -> RgbaImage {
    if style.margin.get() >= Margin::DEFAULT {
        return image.clone();
    }
    let [r, g, b] = style.colors.background.0;
    let size = u32::from(style.size.get());
    // A symbol has 21 modules or more, so a fifth of the image is over 4 of them.
    let border = size / 5;
    let mut page = RgbaImage::from_pixel(
        size + 2 * border,
        size + 2 * border,
        image::Rgba([r, g, b, 255]),
    );
    imageops::replace(&mut page, image, border.into(), border.into());
    page
}
