//! Rows as CSV for programs, and as a workbook for people.

use channel_files::{Cell, Heading, Width, Workbook};
use csv::{Terminator, WriterBuilder};
use jiff::Timestamp;
use jiff::tz::Offset;
use wechat::push::Reply;

use super::pages::Sink;
use super::row::{CodeRow, Presenter};
use crate::channels::ListedCode;
use crate::http::api::stats::definitions::kind_name;
use crate::http::i18n::lang::Lang;
use crate::http::time_format::rfc3339;

/// The columns of the CSV, by their names in the API.
const COLUMNS: [&str; 17] = [
    "label",
    "group",
    "scene_str",
    "scene_id",
    "permanent",
    "expire_seconds",
    "reply",
    "reply_news",
    "created_at",
    "created_by",
    "archived",
    "expires_at",
    "url",
    "png_url",
    "svg_url",
    "image_url",
    "ticket",
];

/// CSV in which every value is as it is.
pub(super) struct CsvSheet {
    presenter: Presenter,
    has_headings: bool,
}

impl CsvSheet {
    pub(super) fn new(presenter: Presenter) -> Self {
        Self {
            presenter,
            has_headings: false,
        }
    }
}

impl Sink for CsvSheet {
    fn write(&mut self, codes: Vec<ListedCode>) -> Vec<u8> {
        let mut writer = WriterBuilder::new()
            .terminator(Terminator::CRLF)
            .from_writer(Vec::new());
        let headings = (!self.has_headings).then(|| COLUMNS.map(str::to_owned));
        self.has_headings = true;
        let rows = codes
            .into_iter()
            .map(|listed| values(&self.presenter.row(listed)));
        for row in headings.into_iter().chain(rows) {
            writer
                .write_record(&row)
                .expect("a vector takes lines of equal length");
        }
        writer
            .into_inner()
            .expect("a vector takes all that is written")
    }

    fn finish(self) -> Vec<u8> {
        Vec::new()
    }
}

fn values(row: &CodeRow) -> [String; 17] {
    let time = |time: Option<Timestamp>| time.map(rfc3339).unwrap_or_default();
    let (links, reply) = (Links::of(row), ReplyCells::of(row));
    [
        row.record.channel.label.clone().unwrap_or_default(),
        row.record.channel.group.clone().unwrap_or_default(),
        row.scene_str.clone(),
        row.scene_id.clone(),
        row.permanent.to_string(),
        row.expire_seconds
            .map(|seconds| seconds.to_string())
            .unwrap_or_default(),
        reply.text.to_owned(),
        reply.news,
        time(row.record.created_at),
        row.record.created_by.clone().unwrap_or_default(),
        row.record.archived.to_string(),
        time(row.expires_at),
        links.url.to_owned(),
        links.png.to_owned(),
        links.svg.to_owned(),
        links.image.to_owned(),
        links.ticket.to_owned(),
    ]
}

/// The reply of a row: a text as it is read back from a file, or a card.
#[derive(Default)]
struct ReplyCells<'a> {
    text: &'a str,
    /// JSON, which no file is read for.
    news: String,
}

impl<'a> ReplyCells<'a> {
    fn of(row: &'a CodeRow) -> Self {
        match &row.record.reply {
            None => Self::default(),
            Some(Reply::Text(text)) => Self {
                text: text.as_str(),
                news: String::new(),
            },
            Some(Reply::News(article)) => Self {
                text: "",
                news: serde_json::to_string(article).expect("it has texts only"),
            },
        }
    }
}

/// The links of a row, empty where there is no code.
#[derive(Default)]
struct Links<'a> {
    url: &'a str,
    png: &'a str,
    svg: &'a str,
    image: &'a str,
    ticket: &'a str,
}

impl<'a> Links<'a> {
    fn of(row: &'a CodeRow) -> Self {
        let Some(ticket) = &row.ticket else {
            return Self::default();
        };
        Self {
            url: &ticket.url,
            png: ticket.png_url.as_deref().unwrap_or_default(),
            svg: ticket.svg_url.as_deref().unwrap_or_default(),
            image: &ticket.image_url,
            ticket: &ticket.ticket,
        }
    }
}

/// A workbook, with times by the clock of the service's time zone.
pub(super) struct XlsxSheet {
    presenter: Presenter,
    time_zone: Offset,
    lang: Lang,
    workbook: Workbook,
}

impl XlsxSheet {
    pub(super) fn new(presenter: Presenter, time_zone: Offset, lang: Lang) -> Self {
        let headings = [
            (lang.pick("名称", "Label"), Width::Middle),
            (lang.pick("分组", "Group"), Width::Middle),
            (lang.pick("场景值", "scene_str"), Width::Middle),
            (lang.pick("数字场景值", "scene_id"), Width::Narrow),
            (lang.pick("类型", "Kind"), Width::Narrow),
            (lang.pick("有效期（秒）", "expire_seconds"), Width::Narrow),
            (lang.pick("回复", "Reply"), Width::Wide),
            (lang.pick("图文回复", "Reply as a card"), Width::Wide),
            (lang.pick("创建时间", "Created"), Width::Middle),
            (lang.pick("创建者", "Created by"), Width::Narrow),
            (lang.pick("已归档", "Archived"), Width::Narrow),
            (lang.pick("到期时间", "Expires"), Width::Middle),
            (lang.pick("二维码内容", "Content"), Width::Wide),
            (lang.pick("PNG 图片", "PNG"), Width::Wide),
            (lang.pick("SVG 图片", "SVG"), Width::Wide),
            (lang.pick("微信图片", "WeChat's picture"), Width::Wide),
            ("ticket", Width::Wide),
        ];
        let headings = headings.map(|(text, width)| Heading { text, width });
        Self {
            workbook: Workbook::new(lang.pick("渠道", "Channels"), &headings),
            presenter,
            time_zone,
            lang,
        }
    }

    fn time(&self, time: Option<Timestamp>) -> Cell<'static> {
        let offset = i64::from(self.time_zone.seconds());
        time.map_or(Cell::Empty, |time| Cell::Time(time.as_second() + offset))
    }

    fn write_row(&mut self, row: &CodeRow) {
        let channel = &row.record.channel;
        let (links, reply) = (Links::of(row), ReplyCells::of(row));
        let archived = if row.record.archived {
            self.lang.pick("是", "yes")
        } else {
            ""
        };
        let cells = [
            text(channel.label.as_deref().unwrap_or_default()),
            text(channel.group.as_deref().unwrap_or_default()),
            text(&row.scene_str),
            text(&row.scene_id),
            text(kind_name(Some(row.permanent), self.lang)),
            row.expire_seconds
                .map_or(Cell::Empty, |seconds| Cell::Number(seconds.into())),
            text(reply.text),
            text(&reply.news),
            self.time(row.record.created_at),
            text(row.record.created_by.as_deref().unwrap_or_default()),
            text(archived),
            self.time(row.expires_at),
            text(links.url),
            text(links.png),
            text(links.svg),
            text(links.image),
            text(links.ticket),
        ];
        self.workbook.write(&cells);
    }
}

fn text(text: &str) -> Cell<'_> {
    if text.is_empty() {
        Cell::Empty
    } else {
        Cell::Text(text)
    }
}

impl Sink for XlsxSheet {
    fn write(&mut self, codes: Vec<ListedCode>) -> Vec<u8> {
        for listed in codes {
            let row = self.presenter.row(listed);
            self.write_row(&row);
        }
        self.workbook.take()
    }

    fn finish(self) -> Vec<u8> {
        self.workbook.finish()
    }
}
