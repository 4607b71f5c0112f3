//! Log lines as JSON objects, one a line, with the fields of the event and those of its span.
//!
//! The objects are those of `tracing_subscriber`'s own format, which builds a tree of the span's
//! fields and parses it again for each line.

use std::fmt::{self, Debug};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats an event as a line.
#[derive(Debug)]
pub(super) struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        writer.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, r#"","level":"{}""#, metadata.level())?;
        context.format_fields(writer.by_ref(), event)?;
        write!(writer, r#","target":"{}""#, metadata.target())?;
        if let Some(span) = context.lookup_current() {
            write!(writer, r#","span":{{"name":"{}""#, span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                writer.write_str(fields)?;
            }
            writer.write_char('}')?;
        }
        writer.write_str("}\n")
    }
}

/// Formats fields as members of an object, each with a comma before it.
#[derive(Debug)]
pub(super) struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Members {
            writer,
            result: Ok(()),
        };
        fields.record(&mut members);
        members.result
    }
}

struct Members<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
}

impl Members<'_> {
    fn add(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        if self.result.is_ok() {
            self.result = self.write(field.name(), value);
        }
    }

    fn write(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> fmt::Result {
        let json = serde_json::to_string(value).map_err(|_| fmt::Error)?;
        write!(self.writer, r#","{name}":{json}"#)
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::field::Empty;
    use tracing_subscriber::Layer;
    use tracing_subscriber::fmt::layer;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        /// The lines so far, without their time.
        fn lines(&self) -> Vec<Value> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let line = |line: &str| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                let time = line["timestamp"].take();
                let time = time.as_str().unwrap();
                assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok());
                line
            };
            text.lines().map(line).collect()
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs by a layer, and returns its lines.
    fn logged<S>(layer: impl FnOnce(Log) -> S) -> Vec<Value>
    where
        S: Layer<tracing_subscriber::Registry> + Send + Sync,
    {
        let log = Log::default();
        let subscriber = tracing_subscriber::registry().with(layer(log.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("without a span");
            let span = tracing::info_span!("request", request_id = "a\"\\\n\u{1}展", key = Empty);
            let _entered = span.enter();
            tracing::warn!(
                http.status = 200_u64,
                left = -1,
                problem = None::<&str>,
                "{}",
                "said"
            );
            span.record("key", "shop-7");
            let error = io::Error::other("broken");
            let cause: &dyn std::error::Error = &error;
            tracing::error!(
                error = cause,
                place = display("\"here\""),
                share = 0.5,
                known = true
            );
        });
        log.lines()
    }

    #[test]
    fn lines_are_those_of_the_librarys_own_format() {
        let own = |log: Log| {
            let lines = layer().with_writer(move || log.clone());
            lines.fmt_fields(JsonFields).event_format(JsonLines)
        };
        let librarys = |log: Log| {
            let lines = layer().with_writer(move || log.clone()).json();
            lines.flatten_event(true).with_span_list(false)
        };
        let lines = logged(own);
        assert_eq!(lines, logged(librarys));
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2]["span"]["key"], "shop-7");
    }
}
