//! Conversion of a message's fields into an event.

use jiff::Timestamp;

use super::fields::{Field, Fields, MessageError};
use crate::event::{Event, EventKind, Scan};
use crate::openid::OpenId;

/// Prefix of the scene in `EventKey` when a scan made a follower. Stripped once only, because a
/// scene may begin with it too.
const FOLLOWED_BY_SCAN: &str = "qrscene_";

/// Prefix of `EventKey` when a payment made a follower, without a scan.
const FOLLOWED_BY_PAYMENT: &str = "last_trade_no_";

/// Returns the event, or `None` for another kind of message.
pub(super) fn read(fields: &Fields) -> Result<Option<Event>, MessageError> {
    let kind = fields.get(Field::Event).and_then(kind_named);
    match (kind, fields.get(Field::MsgType)) {
        (Some(_), None) => Err(MessageError::Missing(Field::MsgType)),
        (Some(kind), Some(message)) if message.eq_ignore_ascii_case("event") => {
            event(kind, fields).map(Some)
        }
        (_, None) if fields.get(Field::Encrypt).is_some() => Err(MessageError::Encrypted),
        _ => Ok(None),
    }
}

/// Finds the kind of a name, case-insensitively: WeChat documents `SCAN` and `subscribe`, but other
/// spellings have been observed.
fn kind_named(name: &str) -> Option<EventKind> {
    EventKind::ALL
        .into_iter()
        .find(|kind| kind.as_str().eq_ignore_ascii_case(name))
}

fn event(kind: EventKind, fields: &Fields) -> Result<Event, MessageError> {
    let created_at = needed(fields, Field::CreateTime)?;
    let key = fields.get(Field::EventKey).unwrap_or_default();
    // PostgreSQL's `text` cannot store NUL.
    if key.len() > Event::MAX_KEY || key.contains('\0') {
        return Err(MessageError::Invalid(Field::EventKey));
    }
    Ok(Event {
        kind,
        openid: openid(fields)?,
        created_at: unix_time(created_at).ok_or(MessageError::Invalid(Field::CreateTime))?,
        key: key.to_owned(),
        scan: scan(kind, key, fields)?,
    })
}

/// The follower who caused the push.
pub(super) fn openid(fields: &Fields) -> Result<OpenId, MessageError> {
    let openid = needed(fields, Field::FromUserName)?;
    openid
        .parse()
        .map_err(|_| MessageError::Invalid(Field::FromUserName))
}

fn needed(fields: &Fields, field: Field) -> Result<&str, MessageError> {
    fields.get(field).ok_or(MessageError::Missing(field))
}

pub(super) fn unix_time(text: &str) -> Option<Timestamp> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_number.then(|| text.parse().ok())??;
    Timestamp::from_second(seconds).ok()
}

/// The scanned code, if there was one: proven by a ticket, otherwise by the form of `EventKey`.
fn scan(kind: EventKind, key: &str, fields: &Fields) -> Result<Option<Scan>, MessageError> {
    let ticket = fields.get(Field::Ticket);
    let scene = match kind {
        EventKind::Unsubscribe => None,
        EventKind::Scan if key.is_empty() && ticket.is_none() => {
            return Err(MessageError::Missing(Field::EventKey));
        }
        EventKind::Scan => Some(key),
        EventKind::Subscribe if key.starts_with(FOLLOWED_BY_PAYMENT) => None,
        EventKind::Subscribe => key
            .strip_prefix(FOLLOWED_BY_SCAN)
            .or_else(|| ticket.map(|_| key)),
    };
    Ok(scene.map(|scene| Scan {
        scene: scene.to_owned(),
        ticket: ticket.and_then(|ticket| ticket.parse().ok()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENID: &str = "o6_bmjrPTlm6_2sgVt7hMZOPfL2M";
    const TICKET: &str = "gQH47joAAAAAAAAAASxodHRw";

    fn fields(pairs: &[(Field, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (field, text) in pairs {
            fields.put(*field, (*text).to_owned()).unwrap();
        }
        fields
    }

    /// A valid event with these fields replaced, the last one winning; `None` removes a field.
    fn read_with(changes: &[(Field, Option<&str>)]) -> Result<Option<Event>, MessageError> {
        let usual = [
            (Field::FromUserName, Some(OPENID)),
            (Field::CreateTime, Some("1700000000")),
            (Field::MsgType, Some("event")),
            (Field::Event, Some("SCAN")),
            (Field::EventKey, Some("123")),
            (Field::Ticket, Some(TICKET)),
        ];
        let kept = usual
            .into_iter()
            .filter(|(field, _)| changes.iter().all(|(changed, _)| changed != field));
        let pairs: Vec<_> = kept
            .chain(changes.iter().copied())
            .filter_map(|(field, text)| Some((field, text?)))
            .collect();
        read(&fields(&pairs))
    }

    #[test]
    fn an_event_has_openid_kind_and_time() {
        let event = read_with(&[]).unwrap().unwrap();
        let want = Event {
            kind: EventKind::Scan,
            openid: OPENID.parse().unwrap(),
            created_at: Timestamp::from_second(1_700_000_000).unwrap(),
            key: "123".to_owned(),
            scan: Some(Scan {
                scene: "123".to_owned(),
                ticket: Some(TICKET.parse().unwrap()),
            }),
        };
        assert_eq!(event, want);
        let shown = format!("{event:?}");
        assert!(
            !shown.contains(OPENID) && !shown.contains(TICKET),
            "{shown}"
        );
    }

    #[test]
    fn three_event_kinds_are_matched_case_insensitively() {
        for (name, want) in [
            ("subscribe", Some("subscribe")),
            ("Subscribe", Some("subscribe")),
            ("SCAN", Some("scan")),
            ("scan", Some("scan")),
            ("unsubscribe", Some("unsubscribe")),
            ("UNSUBSCRIBE", Some("unsubscribe")),
            ("scancode_push", None),
            ("CLICK", None),
            (" SCAN", None),
            ("ſubscribe", None),
            ("", None),
        ] {
            let got = read_with(&[(Field::Event, Some(name))]).unwrap();
            let got = got.map(|event| event.kind.as_str());
            assert_eq!(got, want, "event {name:?}");
        }
    }

    #[test]
    fn a_scan_needs_a_ticket_or_a_scene_prefix() {
        let ticket = Some(TICKET);
        for (event, key, ticket, want) in [
            ("SCAN", Some("123"), ticket, Some(("123", true))),
            ("SCAN", Some("qrscene_1"), ticket, Some(("qrscene_1", true))),
            (
                "SCAN",
                Some("last_trade_no_1"),
                ticket,
                Some(("last_trade_no_1", true)),
            ),
            ("SCAN", Some("123"), None, Some(("123", false))),
            ("SCAN", None, ticket, Some(("", true))),
            (
                "subscribe",
                Some("qrscene_123"),
                ticket,
                Some(("123", true)),
            ),
            (
                "subscribe",
                Some("qrscene_qrscene_1"),
                ticket,
                Some(("qrscene_1", true)),
            ),
            (
                "subscribe",
                Some("qrscene_展会"),
                ticket,
                Some(("展会", true)),
            ),
            ("subscribe", Some("qrscene_"), ticket, Some(("", true))),
            ("subscribe", Some("qrscene_123"), None, Some(("123", false))),
            ("subscribe", Some("123"), ticket, Some(("123", true))),
            ("subscribe", None, ticket, Some(("", true))),
            ("subscribe", Some("123"), None, None),
            ("subscribe", Some("Qrscene_123"), None, None),
            ("subscribe", Some("last_trade_no_4200"), None, None),
            ("subscribe", Some("last_trade_no_4200"), ticket, None),
            (
                "subscribe",
                Some("qrscene_last_trade_no_1"),
                ticket,
                Some(("last_trade_no_1", true)),
            ),
            ("subscribe", Some(""), None, None),
            ("subscribe", None, None, None),
            ("unsubscribe", Some("qrscene_123"), ticket, None),
            ("unsubscribe", None, None, None),
        ] {
            let changes = [
                (Field::Event, Some(event)),
                (Field::EventKey, key),
                (Field::Ticket, ticket),
            ];
            let got = read_with(&changes).unwrap().unwrap();
            assert_eq!(got.key, key.unwrap_or_default());
            let got = got.scan.as_ref();
            let got = got.map(|scan| (scan.scene.as_str(), scan.ticket.is_some()));
            assert_eq!(got, want, "{event} {key:?} {ticket:?}");
        }
        let nothing = [(Field::EventKey, None), (Field::Ticket, None)];
        assert_eq!(
            read_with(&nothing),
            Err(MessageError::Missing(Field::EventKey))
        );
        // An invalid ticket does not discard the scan.
        let strange = read_with(&[(Field::Ticket, Some("票"))]).unwrap().unwrap();
        assert_eq!(strange.scan.unwrap().ticket, None);
    }

    #[test]
    fn an_event_without_a_required_field_is_unreadable() {
        for field in [Field::FromUserName, Field::CreateTime, Field::MsgType] {
            for text in [None, Some("")] {
                let got = read_with(&[(field, text)]);
                assert_eq!(got, Err(MessageError::Missing(field)), "{field} {text:?}");
            }
        }
        let long = "k".repeat(Event::MAX_KEY + 1);
        for (field, text) in [
            (Field::FromUserName, "o6 b"),
            (Field::FromUserName, "o6\0"),
            (Field::CreateTime, "-1"),
            (Field::CreateTime, "1700000000.5"),
            (Field::CreateTime, " 1700000000"),
            (Field::CreateTime, "99999999999999999999"),
            (Field::CreateTime, "999999999999"),
            (Field::EventKey, "a\0b"),
            (Field::EventKey, &long),
        ] {
            let got = read_with(&[(field, Some(text))]);
            assert_eq!(got, Err(MessageError::Invalid(field)), "{field} {text:?}");
        }
        assert!(read_with(&[(Field::EventKey, Some(&long[1..]))]).is_ok());
    }

    #[test]
    fn a_message_that_is_no_event_is_other() {
        for (changes, want) in [
            (vec![(Field::Event, None)], Ok(None)),
            (vec![(Field::MsgType, Some("text"))], Ok(None)),
            (
                vec![(Field::MsgType, Some("text")), (Field::FromUserName, None)],
                Ok(None),
            ),
            (vec![(Field::Event, None), (Field::MsgType, None)], Ok(None)),
            (
                vec![
                    (Field::Event, None),
                    (Field::MsgType, None),
                    (Field::Encrypt, Some("AAAA")),
                ],
                Err(MessageError::Encrypted),
            ),
            (
                vec![(Field::Event, None), (Field::Encrypt, Some("AAAA"))],
                Ok(None),
            ),
        ] {
            assert_eq!(read_with(&changes), want, "{changes:?}");
        }
    }
}
