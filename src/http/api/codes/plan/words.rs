//! Sentences about rows, in both languages.

use channel_files::{Column, RowFault};
use wechat::scene::Scene;

use crate::http::i18n::lang::Lang;
use crate::http::i18n::message::Message;
use crate::http::problem::{ErrorCode, Problem};

/// Why a row cannot be used.
pub(super) fn row_fault(fault: RowFault) -> Problem {
    let zh = match fault {
        RowFault::CellWithoutHeading => "单元格比表头多；含有分隔符的文字请加引号",
        RowFault::TooLong(_) => "过长",
        RowFault::LineBreak(_) => "中有换行，可能是引号没有成对",
        RowFault::Rounded(_) => "是被表格软件舍入过的数字；请把该列设为文本格式后重新输入",
        RowFault::Date(_) => "被表格软件变成了日期；请把该列设为文本格式后重新输入",
        RowFault::SpreadsheetError(_) => "是表格软件的错误值，例如 #N/A",
        RowFault::NoResult(_) => "是没有结果的公式；请用表格软件打开并保存，或直接填写文字",
        RowFault::Kind => "须为 永久 或 临时（或 true、false）",
        RowFault::Lifetime => "须为秒数，或如 12h、30天",
    };
    let message = Message::new(zh, fault.to_string());
    match fault.column() {
        Some(column) => Problem::invalid_parameter(column.english(), message),
        None => invalid(message),
    }
}

/// A row without a name and a scene.
pub(super) fn nothing_given() -> Problem {
    let message = Message::new("缺失，请填写", "is missing: give a name, or a scene");
    Problem::invalid_parameter(Column::Label.english(), message)
}

/// A row with a text and a card.
pub(super) fn two_replies() -> Problem {
    invalid(Message::new(
        "回复和图文回复只能填写一个",
        "both reply and reply_news are given: give one of them",
    ))
}

/// A card that is not JSON.
pub(super) fn no_card() -> Problem {
    let message = Message::new(
        "须为 JSON，例如 {\"title\": \"开业周\", \"url\": \"https://example.com/\"}",
        "must be JSON such as {\"title\": \"Sale\", \"url\": \"https://example.com/\"}",
    );
    Problem::invalid_parameter(Column::ReplyNews.english(), message)
}

/// A row with the scene of an earlier one.
pub(super) fn repeated(scene: &Scene, line: u32) -> Problem {
    let scene = scene.value();
    invalid(Message::new(
        format!("与第 {line} 行重复（场景值 {scene}）；请改名称，或填写另一个场景值"),
        format!(
            "it is the same as line {line}, scene {scene}; change its name, or give another scene"
        ),
    ))
}

fn invalid(message: Message) -> Problem {
    Problem::new(ErrorCode::InvalidParameter, message)
}

/// A problem as a sentence for a row, with the column's heading instead of the parameter's name.
pub(super) fn sentence(problem: &Problem, lang: Lang) -> String {
    let sentence = problem.explanation(lang);
    let parameter = problem.parameter.as_deref().unwrap_or_default();
    match (lang, heading(parameter)) {
        (Lang::Zh, Some(heading)) => sentence.replacen(&format!("参数 {parameter} "), &heading, 1),
        _ => sentence,
    }
}

/// The Chinese heading of the column that has a parameter. A reply is an object, of which one
/// column has the text, and another one the card.
fn heading(parameter: &str) -> Option<String> {
    if let Some(field) = parameter.strip_prefix("reply.news.") {
        return Some(format!("{}的 {field} ", Column::ReplyNews.chinese()));
    }
    let column = match parameter {
        "reply.text" => Some(Column::Reply),
        "reply.news" => Some(Column::ReplyNews),
        parameter => Column::of_heading(parameter),
    };
    column.map(|column| column.chinese().to_owned())
}
