use super::*;

#[test]
fn each_errcode_has_its_answer() {
    for (errcode, want) in [
        (-1, "upstream_busy"),
        (40001, "upstream_refused"),
        (40002, "internal"),
        (40013, "upstream_refused"),
        (40033, "scene_refused"),
        (40052, "internal"),
        (40053, "scene_refused"),
        (40125, "upstream_refused"),
        (40164, "upstream_refused"),
        (41001, "internal"),
        (43002, "internal"),
        (44002, "internal"),
        (45009, "upstream_quota"),
        (45011, "upstream_quota"),
        (45029, "permanent_stock_exhausted"),
        (47001, "internal"),
        (48001, "upstream_refused"),
        (89501, "account_blocked"),
        (89503, "account_blocked"),
        (89506, "account_blocked"),
        (89507, "account_blocked"),
        (123_456, "upstream_refused"),
    ] {
        let problem = Problem::from_errcode(Errcode(errcode));
        assert_eq!(problem.code.as_str(), want, "errcode {errcode}");
        assert_eq!(problem.errcode, Some(Errcode(errcode)));
        let retried = problem.code.status() == StatusCode::SERVICE_UNAVAILABLE && errcode < 80_000;
        assert_eq!(problem.retry_after.is_some(), retried, "errcode {errcode}");
    }
}

#[test]
fn people_read_sentences() {
    for (problem, want) in [
        (
            Problem::new(Code::NotFound, "there is nothing"),
            "There is nothing.",
        ),
        (
            Problem::invalid_parameter("lang", "must be zh or en"),
            "lang must be zh or en.",
        ),
        (
            Problem::invalid_parameter("ttl", "is unknown; is it x?"),
            "ttl is unknown; is it x?",
        ),
    ] {
        assert_eq!(problem.explanation(Lang::En), want);
    }
}

#[test]
fn a_parameter_name_is_repeated_only_in_part() {
    let problem = Problem::invalid_parameter(&"x\r\n".repeat(100), "is odd");
    assert_eq!(problem.parameter.unwrap(), "x".repeat(40));
}
