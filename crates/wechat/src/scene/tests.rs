use super::*;

#[test]
fn scene_numbers_are_canonical_and_in_range() {
    for (text, want) in [
        ("1", Ok(1)),
        ("100000", Ok(100_000)),
        ("100001", Err(SceneError::OutOfRange { max: 100_000 })),
        ("0", Err(SceneError::OutOfRange { max: 100_000 })),
        ("00", Err(SceneError::LeadingZero { max: 100_000 })),
        ("0123", Err(SceneError::LeadingZero { max: 100_000 })),
        (
            "99999999999999999999",
            Err(SceneError::OutOfRange { max: 100_000 }),
        ),
        ("", Err(SceneError::NotANumber { max: 100_000 })),
        ("+1", Err(SceneError::NotANumber { max: 100_000 })),
        ("-1", Err(SceneError::NotANumber { max: 100_000 })),
        ("1e3", Err(SceneError::NotANumber { max: 100_000 })),
        (" 1", Err(SceneError::NotANumber { max: 100_000 })),
        ("１", Err(SceneError::NotANumber { max: 100_000 })),
    ] {
        let got = text.parse::<PermanentId>().map(PermanentId::get);
        assert_eq!(got, want, "input {text:?}");
    }
}

#[test]
fn a_temporary_scene_number_is_unsigned() {
    for (text, want) in [
        ("4294967295", Ok(u32::MAX)),
        ("4294967296", Err(SceneError::OutOfRange { max: u32::MAX })),
        ("2147483648", Ok(2_147_483_648)),
    ] {
        let got = text.parse::<SceneId>().map(SceneId::get);
        assert_eq!(got, want, "input {text:?}");
    }
}

#[test]
fn scene_text_length_is_counted_in_characters() {
    let chinese = "展".repeat(64);
    let too_long = "a".repeat(65);
    for (text, want) in [
        ("a", Ok(())),
        (chinese.as_str(), Ok(())),
        ("0123", Ok(())),
        ("wxqr", Ok(())),
        ("", Err(SceneError::Length { got: 0 })),
        (too_long.as_str(), Err(SceneError::Length { got: 65 })),
        ("a\nb", Err(SceneError::ControlCharacter)),
        ("a\u{0}b", Err(SceneError::ControlCharacter)),
        ("a\u{85}b", Err(SceneError::ControlCharacter)),
        ("wxqr.login", Err(SceneError::Reserved)),
    ] {
        let got = text.parse::<SceneText>().map(|_| ());
        assert_eq!(got, want, "input {text:?}");
    }
}

#[test]
fn scenes_round_trip_through_their_text() {
    for text in [
        "QR_SCENE:4294967295",
        "QR_STR_SCENE:007",
        "QR_LIMIT_SCENE:100000",
        "QR_LIMIT_STR_SCENE:展会:A",
    ] {
        let scene: Scene = text.parse().unwrap();
        assert_eq!(scene.to_string(), text);
        let value = scene.value().to_string();
        assert_eq!(Scene::new(scene.kind(), &value), Ok(scene), "{text}");
    }
    for text in [
        "",
        "QR_SCENE",
        "QR_SCENE:",
        "QR_SCENE:0",
        "QR_LIMIT_SCENE:100001",
        "QR_CARD:1",
        "qr_scene:1",
    ] {
        assert!(text.parse::<Scene>().is_err(), "input {text:?}");
    }
}

#[test]
fn a_lifetime_is_one_second_to_thirty_days() {
    for (text, want) in [
        ("1", Ok(1)),
        ("2592000", Ok(2_592_000)),
        ("2592001", Err(LifetimeError)),
        ("0", Err(LifetimeError)),
        ("60s", Err(LifetimeError)),
        ("060", Err(LifetimeError)),
    ] {
        let got = text.parse::<Lifetime>().map(Lifetime::as_secs);
        assert_eq!(got, want, "input {text:?}");
    }
}
