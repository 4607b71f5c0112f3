//! Rows as a workbook, for people.

use channel_files::{Cell, Heading, Width, Workbook};
use jiff::Timestamp;
use jiff::tz::Offset;

use super::pages::Sink;
use super::row::{CodeRow, Links, Presenter, ReplyCells};
use crate::channels::ListedCode;
use crate::http::api::attribution::kind_name;
use crate::http::i18n::lang::Lang;

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
