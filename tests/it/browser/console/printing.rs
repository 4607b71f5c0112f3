//! The sheet on paper: printed to PDF, drawn at 300 dpi, and read back with other programs.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::GrayImage;
use serde_json::json;

use super::{app_and_browser, listed, make_codes, numbered};
use crate::browser::chromium::{Page, Screen};
use crate::support::figures::sized;
use crate::support::keys;
use crate::support::picture::read_by_zbar;
use crate::support::skip::skip;

const DPI: f64 = 300.0;

/// Pixels under it are dark. An edge between two rows is drawn grey.
const DARK: u8 = 128;

/// Modules of the sandbox's codes, as of WeChat's.
const MODULES: f64 = 33.0;
const QUIET_MODULES: f64 = 4.0;

/// What was asked for may be missed by so much, in millimetres.
const TOLERANCE: f64 = 0.5;

/// Prints as Chromium does from its dialog: on the page's own paper.
async fn print(page: &mut Page, folder: &Path) {
    let options = json!({"preferCSSPageSize": true, "printBackground": false});
    let printed = page.call("Page.printToPDF", options).await;
    let pdf = BASE64_STANDARD.decode(printed["data"].as_str().unwrap());
    std::fs::write(folder.join("sheet.pdf"), pdf.unwrap()).unwrap();
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    output.stdout
}

/// Where the page has put the pictures: sheet, and left, top and side in millimetres.
const PLACES: &str = "[...document.querySelectorAll('.paper')].flatMap((paper, n) => {
    const sheet = paper.getBoundingClientRect();
    const mm = (pixels) => pixels / sheet.width * 210;
    return [...paper.querySelectorAll('img')].map(img => {
        const box = img.getBoundingClientRect();
        // The frame of the sheet on the screen is not printed.
        return [n, mm(box.x - sheet.x - 1), mm(box.y - sheet.y - 1), mm(box.width)];
    });
})";

/// A code on paper: its text, and its sides in pixels.
#[derive(Debug)]
struct Printed {
    text: String,
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

/// A page of the sheet, drawn by poppler.
fn drawn(folder: &Path, page: usize) -> GrayImage {
    let number = (page + 1).to_string();
    let options = ["-r", "300", "-gray", "-png", "-singlefile", "-f", &number];
    let files = ["sheet.pdf", "page"];
    run("pdftoppm", &[&options[..], &files].concat(), folder);
    let png = std::fs::read(folder.join("page.png")).unwrap();
    image::load_from_memory(&png).unwrap().into_luma8()
}

/// What is on the paper where a picture was put: what zbar reads, and what is dark.
fn printed(paper: &GrayImage, [_, left, top, side]: [f64; 4]) -> Printed {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "pixels of a page"
    )]
    let [left, top, side] = [left, top, side].map(|mm| (mm * DPI / 25.4).round() as u32);
    let cut = image::imageops::crop_imm(paper, left, top, side, side).to_image();
    let mut png = Cursor::new(Vec::new());
    cut.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let texts = read_by_zbar(png.get_ref()).expect("zbarimg is installed");
    let pixels = cut.enumerate_pixels();
    let dark: Vec<(u32, u32)> = pixels
        .filter(|(_, _, pixel)| pixel.0[0] < DARK)
        .map(|(x, y, _)| (left + x, top + y))
        .collect();
    let columns = dark.iter().map(|it| it.0);
    let rows = dark.iter().map(|it| it.1);
    let (left, right) = (columns.clone().min().unwrap(), columns.max().unwrap());
    let (top, bottom) = (rows.clone().min().unwrap(), rows.max().unwrap());
    Printed {
        text: texts.join(" and "),
        left,
        top,
        width: right + 1 - left,
        height: bottom + 1 - top,
    }
}

fn millimetres(pixels: u32) -> f64 {
    f64::from(pixels) * 25.4 / DPI
}

/// Nothing dark is nearer to the symbol than four modules.
fn check_quiet_zone(picture: &GrayImage, code: &Printed) {
    let module = f64::from(code.width) / MODULES;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "pixels of a page"
    )]
    let quiet = (QUIET_MODULES * module).floor() as u32 - 1;
    let (right, bottom) = (code.left + code.width, code.top + code.height);
    for x in code.left - quiet..right + quiet {
        for y in code.top - quiet..bottom + quiet {
            let is_inside = (code.left..right).contains(&x) && (code.top..bottom).contains(&y);
            let is_dark = picture.get_pixel(x, y).0[0] < DARK;
            assert!(is_inside || !is_dark, "dark at {x}, {y}: {code:?}");
        }
    }
}

/// The name below each code, in the order of the sheet.
fn texts(folder: &Path) -> String {
    let text = run("pdftotext", &["-raw", "sheet.pdf", "-"], folder);
    String::from_utf8(text)
        .unwrap()
        .split_whitespace()
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printed_sheet_is_read_and_measured() {
    let (app, mut browser) = app_and_browser!();
    if Command::new("pdftotext").arg("-v").output().is_err() {
        return skip("poppler-utils is not installed", "REQUIRE_POPPLER");
    }
    if Command::new("zbarimg").arg("--version").output().is_err() {
        return skip("zbar-tools is not installed", "REQUIRE_ZBAR");
    }
    let mut names = numbered("门店", 23);
    names.push("很长的名称".repeat(20));
    make_codes(&app, &names, "上海").await;
    let codes = listed(&app, "sort=-created").await;
    let urls: Vec<&str> = codes
        .iter()
        .map(|code| code["url"].as_str().unwrap())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let mut page = browser.page(Screen::DESK).await;
    for (layout, per_page, mm) in [
        ("1", 1, None),
        ("2x3", 6, None),
        ("3x4", 12, None),
        ("4x6", 24, None),
        (
            "mm&mm=30&marks=true&show_group=true&show_scene=true",
            20,
            Some(30.0),
        ),
    ] {
        page.open_console(
            &app,
            &format!("/codes/print?lang=en&per={layout}"),
            keys::STATS,
        )
        .await;
        page.until("document.querySelectorAll('.label').length === 24")
            .await;
        print(&mut page, folder.path()).await;
        let info = String::from_utf8(run("pdfinfo", &["sheet.pdf"], folder.path())).unwrap();
        let pages = urls.len().div_ceil(per_page);
        let count = info
            .lines()
            .find_map(|line| line.strip_prefix("Pages:"))
            .unwrap();
        assert_eq!(count.trim(), pages.to_string(), "{layout}: {info}");
        assert!(info.contains("(A4)"), "{layout}: {info}");
        let asked = page.text("about.textContent").await;
        let said = asked
            .split(" mm")
            .next()
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap();
        let want: f64 = mm.unwrap_or_else(|| said.parse().unwrap());
        let places: Vec<[f64; 4]> = serde_json::from_value(page.eval(PLACES).await).unwrap();
        let mut paper = (usize::MAX, GrayImage::new(1, 1));
        for (n, place) in places.into_iter().enumerate() {
            let sheet = n / per_page;
            // Each large page is like the first one, and takes a second.
            if per_page == 1 && sheet > sized(1, usize::MAX) {
                break;
            }
            if paper.0 != sheet {
                paper = (sheet, drawn(folder.path(), sheet));
            }
            let code = printed(&paper.1, place);
            assert_eq!(code.text, urls[n], "{layout}: code {n}");
            for side in [code.width, code.height] {
                let got = millimetres(side);
                let is_good = (got - want).abs() <= TOLERANCE;
                assert!(is_good, "{layout}: {got} for {want} mm");
            }
            check_quiet_zone(&paper.1, &code);
        }
        let below = texts(folder.path());
        let mut rest = below.as_str();
        for code in &codes {
            let name: String = code["label"].as_str().unwrap().split_whitespace().collect();
            let (_, after) = rest
                .split_once(&name)
                .unwrap_or_else(|| panic!("{layout}: {name} is not in order in {below}"));
            rest = after;
        }
        for strange in ["http", "SANDBOX", "Print", "11/"] {
            assert!(
                !below.contains(strange),
                "{layout}: {strange} is on the paper: {below}"
            );
        }
    }
}
