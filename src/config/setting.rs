//! One setting as a typed constant: name, default, range, parser and help in one place. [`Setting`]
//! is the type to read first.

use super::error::InvalidValue;

/// The prefix of every variable of the service.
pub(super) const PREFIX: &str = "WXQR_";

/// Where the text of [`Description::help`] names the range.
const RANGE: &str = "{range}";

/// A setting whose text becomes a `T`.
pub(super) struct Setting<T: 'static> {
    description: Description,
    parser: Parser<T>,
}

enum Parser<T: 'static> {
    Plain(fn(&str) -> Result<T, InvalidValue>),
    Ranged(fn(&str, Range) -> Result<T, InvalidValue>, Range),
}

/// The lowest and the highest value, both accepted, written as the setting itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low: &'static str,
    pub(super) high: &'static str,
}

/// Everything about a setting but the type of its value: one row of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Name of the flag without its dashes, such as `metrics-listen`; the variable follows from
    /// it.
    pub name: &'static str,
    /// What holds when it is not given.
    pub fallback: Fallback,
    /// Whether it must never be shown.
    pub secrecy: Secrecy,
    /// Whether it is a comma-separated list.
    pub is_list: bool,
    /// Whether `wxqr demo` takes it.
    pub demo: DemoPolicy,
    help: &'static str,
    range: Option<Range>,
}

/// What holds when a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    Value(&'static str),
    /// Nothing: the feature is off.
    Unset,
    /// `serve` does not start.
    Required,
}

/// Whether a setting may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    Public,
    /// Without its query, which may hold a secret of another server's.
    WithoutQuery,
    /// It is masked, and may also be read from a file.
    Secret {
        /// Name of the flag that names the file; the `_FILE` variable follows from it.
        file: &'static str,
        mask: Mask,
    },
}

/// What of a secret setting is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    Whole,
    /// Each item of a list; their number is shown.
    Items,
    /// The password in a database's URL.
    DatabasePassword,
    /// The secrets of API keys; their names and scopes are shown.
    KeySecrets,
    /// All of a URL but scheme, host and port.
    BehindHost,
}

/// Whether `wxqr demo` takes a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoPolicy {
    /// As `serve` does.
    Takes,
    /// As `serve` does, with another default.
    TakesWithDefault(&'static str),
    /// No: it belongs to a real account, and the demo makes its own. Given all the same, the demo
    /// does not start.
    MakesItsOwn,
}

impl<T> Setting<T> {
    /// An optional setting. `help` says in one line what it does, with its unit.
    pub(super) const fn new(
        name: &'static str,
        parse: fn(&str) -> Result<T, InvalidValue>,
        help: &'static str,
    ) -> Self {
        Self {
            description: Description::new(name, help, None),
            parser: Parser::Plain(parse),
        }
    }

    /// An optional setting with a range, which `help` names as `{range}`.
    pub(super) const fn ranged(
        name: &'static str,
        parse: fn(&str, Range) -> Result<T, InvalidValue>,
        low: &'static str,
        high: &'static str,
        help: &'static str,
    ) -> Self {
        let range = Range { low, high };
        Self {
            description: Description::new(name, help, Some(range)),
            parser: Parser::Ranged(parse, range),
        }
    }

    pub(super) const fn default(mut self, value: &'static str) -> Self {
        self.description.fallback = Fallback::Value(value);
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.description.fallback = Fallback::Required;
        self
    }

    /// Masked as a whole.
    pub(super) const fn secret(self, file: &'static str) -> Self {
        self.partly_secret(file, Mask::Whole)
    }

    pub(super) const fn partly_secret(mut self, file: &'static str, mask: Mask) -> Self {
        self.description.secrecy = Secrecy::Secret { file, mask };
        self
    }

    pub(super) const fn list(mut self) -> Self {
        self.description.is_list = true;
        self
    }

    pub(super) const fn without_query(mut self) -> Self {
        self.description.secrecy = Secrecy::WithoutQuery;
        self
    }

    pub(super) const fn demo_default(mut self, value: &'static str) -> Self {
        self.description.demo = DemoPolicy::TakesWithDefault(value);
        self
    }

    pub(super) const fn not_in_demo(mut self) -> Self {
        self.description.demo = DemoPolicy::MakesItsOwn;
        self
    }

    /// The row of the documentation.
    pub(super) const fn description(&self) -> Description {
        self.description
    }

    pub(super) const fn name(&self) -> &'static str {
        self.description.name
    }

    /// The value of a text.
    ///
    /// # Errors
    /// What is wrong with the text, and what would be accepted.
    pub(super) fn parse(&self, text: &str) -> Result<T, InvalidValue> {
        match self.parser {
            Parser::Plain(parse) => parse(text),
            Parser::Ranged(parse, range) => parse(text, range),
        }
    }
}

impl Description {
    const fn new(name: &'static str, help: &'static str, range: Option<Range>) -> Self {
        Self {
            name,
            fallback: Fallback::Unset,
            secrecy: Secrecy::Public,
            is_list: false,
            demo: DemoPolicy::Takes,
            help,
            range,
        }
    }

    /// What the setting does, in one line of Markdown with unit and range.
    pub fn help(&self) -> String {
        let Some(Range { low, high }) = self.range else {
            return self.help.to_owned();
        };
        self.help.replace(RANGE, &format!("`{low}` to `{high}`"))
    }

    /// The variable, such as `WXQR_METRICS_LISTEN`.
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// The variable that names a file with the value: secrets only, such as `WXQR_APP_SECRET_FILE`.
    pub fn file_variable(&self) -> Option<String> {
        self.file_flag().map(variable)
    }

    /// The default as the table of settings writes it.
    pub fn default_column(&self) -> String {
        match self.fallback {
            Fallback::Value(value) => format!("`{value}`"),
            Fallback::Unset => "unset".to_owned(),
            Fallback::Required => "required".to_owned(),
        }
    }

    /// Whether a part of it at least must never be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.secrecy, Secrecy::Secret { .. })
    }

    /// What holds in the demo when it is not given.
    pub(super) fn demo_fallback(&self) -> Fallback {
        match self.demo {
            DemoPolicy::TakesWithDefault(value) => Fallback::Value(value),
            DemoPolicy::Takes | DemoPolicy::MakesItsOwn => self.fallback,
        }
    }

    pub(super) fn file_flag(&self) -> Option<&'static str> {
        match self.secrecy {
            Secrecy::Public | Secrecy::WithoutQuery => None,
            Secrecy::Secret { file, .. } => Some(file),
        }
    }
}

fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_ascii_uppercase().replace('-', "_"))
}
