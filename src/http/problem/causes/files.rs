//! Errors of `channel-files`.

use channel_files::{FileError, MAX_ROWS, MAX_UNPACKED};

use crate::http::i18n::lang::Lang;
use crate::http::i18n::message::Message;
use crate::http::problem::{ErrorCode, Problem};

impl Problem {
    /// Converts a file's error. Its text is in the language of the query: a person chose the file.
    pub(crate) fn from_file_error(error: &FileError, lang: Lang) -> Self {
        let code = match error {
            FileError::TooManyRows | FileError::TooLarge => ErrorCode::TooLarge,
            _ => ErrorCode::InvalidBody,
        };
        Self::new(code, Message::from(error).text(lang).to_owned())
    }
}

impl From<&FileError> for Message {
    fn from(error: &FileError) -> Self {
        let zh = match error {
            FileError::Empty => "文件是空的".to_owned(),
            FileError::NoRows => "文件只有表头，没有数据行".to_owned(),
            FileError::NoHeadings => {
                "第一行须为列名，例如“名称”“分组”；没有找到任何一个".to_owned()
            }
            FileError::RepeatedHeading(column) => format!("列“{}”出现了两次", column.chinese()),
            FileError::TooManyRows => format!("文件超过 {MAX_ROWS} 行，请拆分"),
            FileError::TooManyCells { line } => format!("第 {line} 行的单元格过多"),
            FileError::NotText => "文件不是文本：含有 NUL 字节".to_owned(),
            FileError::Workbook => "文件是工作簿，不是文本；请作为 XLSX 上传".to_owned(),
            FileError::Encoding => "文本既不是 UTF-8 也不是 GB18030 编码".to_owned(),
            FileError::NotAWorkbook => "文件不是 XLSX 工作簿，或已损坏".to_owned(),
            FileError::UnknownErrorValue { line, value } => {
                format!("第 {line} 行或以下有单元格是表格软件的错误值 {value}；请改为文字")
            }
            FileError::OldOrEncrypted => {
                "工作簿是旧的 XLS 格式或设有密码；请另存为不带密码的 XLSX".to_owned()
            }
            FileError::TooLarge => format!(
                "工作簿内容过多：解压后不得超过 {} MiB",
                MAX_UNPACKED / 1024 / 1024
            ),
        };
        Self::new(zh, error.to_string())
    }
}
