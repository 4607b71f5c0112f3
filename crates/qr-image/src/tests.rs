use std::io::Cursor;
use std::process::{Command, Stdio};

use image::RgbaImage;
use image::imageops::{self, FilterType};
use proptest::prelude::*;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;

use super::*;

const URL: &str = "http://weixin.qq.com/q/kZgfwMTm72WWPkovabbI";

/// In black on white, 196 pixels wide, rqrr 0.11 finds this symbol but does not decode it.
const HARD_FOR_RQRR: &str = "https://fdqhc.example/S@V<HZ4k/2F:I&u$?,K=d%:c2$hv@[.:?[d=2GG`?T_=33-%U*/{40I.!80Gq%'<&zJD{+pD";

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

#[test]
fn correction_is_raised_while_the_symbol_does_not_grow() {
    // A reader gives the level as the symbol's two bits: M is 0, H is 2, Q is 3. Capacities as above: a symbol of 21
    // modules holds 14, 11 and 7 bytes at M, Q and H; one of 33 holds 62, 46 and 34.
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

#[test]
fn the_symbol_is_not_mirrored() {
    // Readers forgive it, so they cannot tell. Beside the lower left finder there is a module that is dark in every
    // symbol; its mirror image is light in this one.
    let symbol = Symbol::encode(URL).unwrap();
    let far = symbol.width() - 8;
    assert!(symbol.is_dark(8, far));
    assert!(!symbol.is_dark(far, 8));

    let picture = pixels_of_png(&png(URL, &Style::default()).unwrap());
    let layout = Layout::new(&symbol, &Style::default()).unwrap();
    let pixel = |module| u32::try_from(layout.pixel(module)).unwrap();
    for y in 0..symbol.width() {
        for x in 0..symbol.width() {
            let is_dark = picture.get_pixel(pixel(x), pixel(y)).0[0] == 0;
            assert_eq!(is_dark, symbol.is_dark(x, y), "column {x}, row {y}");
        }
    }
}

#[test]
fn a_size_is_64_to_2048_pixels() {
    for (text, want) in [
        ("64", Ok(64)),
        ("430", Ok(430)),
        ("2048", Ok(2048)),
        ("63", Err(PixelSizeError)),
        ("2049", Err(PixelSizeError)),
        ("65966", Err(PixelSizeError)),
        ("", Err(PixelSizeError)),
        ("0430", Err(PixelSizeError)),
        ("+430", Err(PixelSizeError)),
        ("430px", Err(PixelSizeError)),
        (" 430", Err(PixelSizeError)),
        ("4e2", Err(PixelSizeError)),
    ] {
        let got = text.parse::<PixelSize>().map(PixelSize::get);
        assert_eq!(got, want, "input {text:?}");
    }
    assert_eq!(
        PixelSizeError.to_string(),
        "must be a whole number of pixels from 64 to 2048"
    );
}

#[test]
fn a_margin_is_0_to_16_modules() {
    for (text, want) in [
        ("0", Ok(0)),
        ("4", Ok(4)),
        ("16", Ok(16)),
        ("17", Err(MarginError)),
        ("00", Err(MarginError)),
        ("-1", Err(MarginError)),
        ("", Err(MarginError)),
    ] {
        let got = text.parse::<Margin>().map(Margin::get);
        assert_eq!(got, want, "input {text:?}");
    }
    assert_eq!(
        MarginError.to_string(),
        "must be a whole number of modules from 0 to 16"
    );
}

#[test]
fn a_colour_has_3_or_6_hexadecimal_digits() {
    for (text, want) in [
        ("000", Ok("000000")),
        ("fff", Ok("ffffff")),
        ("07c", Ok("0077cc")),
        ("07c160", Ok("07c160")),
        ("07C160", Ok("07c160")),
        ("", Err(RgbError)),
        ("07c1", Err(RgbError)),
        ("07c16", Err(RgbError)),
        ("07c1600", Err(RgbError)),
        ("#07c", Err(RgbError)),
        ("+7c", Err(RgbError)),
        ("red", Err(RgbError)),
        ("０７ｃ", Err(RgbError)),
    ] {
        let got = text.parse::<Rgb>().map(|color| color.to_string());
        assert_eq!(got, want.map(ToOwned::to_owned), "input {text:?}");
    }
}

#[test]
fn colours_are_dark_on_light() {
    // 767676 on white has 4.54:1, as WCAG's own examples give it; 949494 has 3.03:1 and 959595 has 2.99:1.
    for (color, background, want) in [
        ("000", "fff", "accepted"),
        ("767676", "fff", "accepted"),
        ("949494", "fff", "accepted"),
        ("00f", "0f0", "accepted"),
        (
            "959595",
            "fff",
            "must have a contrast of at least 3:1 to the background, more than 959595 on ffffff has",
        ),
        (
            "123456",
            "123456",
            "must have a contrast of at least 3:1 to the background, more than 123456 on 123456 has",
        ),
        (
            "fff",
            "000",
            "must be darker than the background, but ffffff is lighter than 000000",
        ),
        (
            "0f0",
            "f00",
            "must be darker than the background, but 00ff00 is lighter than ff0000",
        ),
    ] {
        let got = Colors::new(color.parse().unwrap(), background.parse().unwrap())
            .map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        assert_eq!(got, want, "{color} on {background}");
    }
}

#[test]
fn a_picture_that_is_too_small_names_the_least_size() {
    // The url needs 33 modules; every module needs 2 pixels.
    for (size, margin, want) in [
        (82, 4, Ok(())),
        (
            81,
            4,
            Err("must be at least 82 pixels for this code with this margin, but is 81"),
        ),
        (66, 0, Ok(())),
        (
            65,
            0,
            Err("must be at least 66 pixels for this code with this margin, but is 65"),
        ),
        (130, 16, Ok(())),
        (
            129,
            16,
            Err("must be at least 130 pixels for this code with this margin, but is 129"),
        ),
    ] {
        let style = style(size, margin);
        let want = want.map_err(ToOwned::to_owned);
        let got = png(URL, &style)
            .map(drop)
            .map_err(|error| error.to_string());
        assert_eq!(got, want, "PNG, size {size}, margin {margin}");
        let got = svg(URL, &style)
            .map(drop)
            .map_err(|error| error.to_string());
        assert_eq!(got, want, "SVG, size {size}, margin {margin}");
    }
}

#[test]
fn the_symbol_is_in_the_middle_and_as_large_as_can_be() {
    // 33 modules and 8 of margin go 10 times into 430 and leave 20 pixels.
    for (size, margin, module, offset) in [
        (430, 4, 10, 50),
        (430, 0, 13, 0),
        (431, 0, 13, 1),
        (82, 4, 2, 8),
        (2048, 16, 31, 512),
    ] {
        let symbol = Symbol::encode(URL).unwrap();
        let layout = Layout::new(&symbol, &style(size, margin)).unwrap();
        let got = (layout.module, layout.offset);
        assert_eq!(got, (module, offset), "size {size}, margin {margin}");
    }
}

#[test]
fn an_svg_holds_nothing_but_two_shapes() {
    let text = svg(URL, &Style::default()).unwrap();
    let (head, path) = text.split_once(" d=\"").unwrap();
    assert_eq!(
        head,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="430" height="430" viewBox="0 0 430 430" shape-rendering="crispEdges"><rect width="430" height="430" fill="#ffffff"/><path fill="#000000""##
    );
    // The upper edge of the finder in the corner: 7 modules of 10 pixels.
    assert!(path.starts_with("M50 50H120v10H50z"), "{path}");
    let (moves, end) = path.split_once('"').unwrap();
    assert!(moves.chars().all(|c| "MHvz 0123456789".contains(c)));
    assert_eq!(end, "/></svg>");
}

#[test]
fn a_png_has_one_bit_for_each_pixel_and_two_colours() {
    let style = Style {
        colors: Colors::new("06395e".parse().unwrap(), "ffe".parse().unwrap()).unwrap(),
        ..style(431, 1)
    };
    let file = png(URL, &style).unwrap();
    let reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let info = reader.info();
    assert_eq!((info.width, info.height), (431, 431));
    assert_eq!(info.color_type, ColorType::Indexed);
    assert_eq!(info.bit_depth, BitDepth::One);
    assert_eq!(
        info.palette.as_deref(),
        Some([0xff, 0xff, 0xee, 0x06, 0x39, 0x5e].as_slice())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(320))]

    #[test]
    fn every_png_that_is_drawn_is_read(text in texts(), style in styles()) {
        let file = png(&text, &style);
        check_refusal(file.as_ref().err(), &text, &style)?;
        if let Ok(file) = file {
            check_readable(&pixels_of_png(&file), &text, &style)?;
        }
    }

    #[test]
    fn every_svg_that_is_drawn_is_read(text in texts(), style in styles()) {
        let file = svg(&text, &style);
        check_refusal(file.as_ref().err(), &text, &style)?;
        if let Ok(file) = file {
            check_readable(&pixels_of_svg(&file), &text, &style)?;
        }
    }
}

#[test]
fn dark_green_on_red_is_read() {
    let text = "http://weixin.qq.com/q/AAaAaA00aaAaA0aa000A";
    let colors = Colors::new("10340d".parse().unwrap(), "f60000".parse().unwrap()).unwrap();
    let style = Style {
        colors,
        ..style(102, 0)
    };
    let picture = pixels_of_svg(&svg(text, &style).unwrap());
    check_readable(&picture, text, &style).unwrap();
}

#[test]
fn what_the_reader_misses_it_reads_from_nearer() {
    let style = style(196, 4);
    let picture = pixels_of_png(&png(HARD_FOR_RQRR, &style).unwrap());
    check_readable(&picture, HARD_FOR_RQRR, &style).unwrap();
}

#[test]
fn png_and_svg_are_the_same_picture() {
    let colors = Colors::new("06395e".parse().unwrap(), "ffe".parse().unwrap()).unwrap();
    for (size, margin) in [(66, 0), (83, 4), (430, 4), (1001, 16)] {
        let style = Style {
            colors,
            ..style(size, margin)
        };
        let drawn = pixels_of_png(&png(URL, &style).unwrap());
        let rasterised = pixels_of_svg(&svg(URL, &style).unwrap());
        assert!(drawn == rasterised, "size {size}, margin {margin}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn a_second_reader_reads_the_smallest_pictures() {
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
        let picture = on_page(&pixels_of_png(&png(text, &style).unwrap()), &style);
        picture.save(&path).unwrap();
        let read = Command::new("zbarimg")
            .args(["--quiet", "--raw"])
            .arg(&path)
            .stderr(Stdio::null())
            .output();
        let Ok(read) = read else {
            let required = std::env::var_os("REQUIRE_ZBAR").is_some();
            assert!(!required, "REQUIRE_ZBAR is set, but zbarimg is missing");
            eprintln!("skipped: zbarimg is not installed");
            return;
        };
        let got = String::from_utf8_lossy(&read.stdout);
        assert_eq!(got.trim_end(), text, "size {size}, margin {margin}");
    }
}

fn style(size: u16, margin: u16) -> Style {
    Style {
        size: size.to_string().parse().unwrap(),
        margin: margin.to_string().parse().unwrap(),
        colors: Colors::default(),
    }
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "http://weixin\\.qq\\.com/q/[A-Za-z0-9]{20,22}",
        1 => "https://[a-z]{3,12}\\.example/[!-~]{1,220}",
    ]
}

/// Mostly small pictures, for there the reader has the least to go by; and any two colours that are accepted.
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

/// A picture is refused only for its size, and then the size that is named works.
fn check_refusal(
    error: Option<&RenderError>,
    text: &str,
    style: &Style,
) -> Result<(), TestCaseError> {
    let Some(error) = error else { return Ok(()) };
    let &RenderError::TooSmall { size, least } = error else {
        return Err(TestCaseError::fail(error.to_string()));
    };
    prop_assert_eq!(size, usize::from(style.size.get()));
    let with_size = |size| Style {
        size: PixelSize(u16::try_from(size).unwrap()),
        ..*style
    };
    prop_assert!(png(text, &with_size(least)).is_ok());
    prop_assert!(png(text, &with_size(least - 1)).is_err());
    Ok(())
}

/// The picture is as large as asked, and an independent reader finds one symbol in it: the text.
fn check_readable(picture: &RgbaImage, text: &str, style: &Style) -> Result<(), TestCaseError> {
    let size = u32::from(style.size.get());
    prop_assert_eq!(picture.dimensions(), (size, size));

    // rqrr misplaced its grid on one picture of some 8000 (`HARD_FOR_RQRR`), in black on white too, while zbar read it.
    // So it may look again from nearer, as a phone would.
    let page = on_page(picture, style);
    let mut texts = read(&page);
    if texts.is_empty() {
        let (width, height) = (page.width() * 2, page.height() * 2);
        texts = read(&imageops::resize(&page, width, height, FilterType::Nearest));
    }
    prop_assert_eq!(texts, [text]);
    Ok(())
}

/// What an independent reader finds.
/// As a camera sees it: by light, which the contrast is measured in too. A weighted sum of the file's numbers has a bright red
/// hardly apart from a dark green.
fn read(page: &RgbaImage) -> Vec<String> {
    // Neighbours mostly have one colour.
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

/// The picture as a page shows it. Where its own margin is under the 4 modules that readers need, the page around it
/// has the background's colour and is the rest of the quiet zone; otherwise the picture stands for itself.
fn on_page(picture: &RgbaImage, style: &Style) -> RgbaImage {
    if style.margin.get() >= Margin::DEFAULT {
        return picture.clone();
    }
    let [r, g, b] = style.colors.background.0;
    let size = u32::from(style.size.get());
    // A symbol has 21 modules or more, so a fifth of the picture is over 4 of them.
    let border = size / 5;
    let mut page = RgbaImage::from_pixel(
        size + 2 * border,
        size + 2 * border,
        image::Rgba([r, g, b, 255]),
    );
    imageops::replace(&mut page, picture, border.into(), border.into());
    page
}

fn pixels_of_png(file: &[u8]) -> RgbaImage {
    image::load_from_memory(file).unwrap().into_rgba8()
}

fn pixels_of_svg(text: &str) -> RgbaImage {
    let tree = usvg::Tree::from_str(text, &usvg::Options::default()).unwrap();
    let size = tree.size().to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height()).unwrap();
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    RgbaImage::from_raw(size.width(), size.height(), pixels.take()).unwrap()
}
