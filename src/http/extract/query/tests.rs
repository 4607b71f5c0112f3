use wechat::scene::{Kind, SceneValue};

use super::*;

fn spec(raw: &str) -> Result<CodeSpec, Problem> {
    Query::parse(raw)?.code_spec("7200".parse().unwrap())
}

#[test]
fn the_four_kinds() {
    for (raw, kind, value, life) in [
        (
            "scene_id=123",
            Kind::QrScene,
            SceneValue::Id(123),
            Some(7200),
        ),
        (
            "scene_id=4294967295&expire_seconds=60",
            Kind::QrScene,
            SceneValue::Id(u32::MAX),
            Some(60),
        ),
        (
            "scene_str=a+b%2B&permanent=false",
            Kind::QrStrScene,
            SceneValue::Text("a b+"),
            Some(7200),
        ),
        (
            "scene_str=%E5%B1%95",
            Kind::QrStrScene,
            SceneValue::Text("展"),
            Some(7200),
        ),
        (
            "permanent=true&scene_id=100000",
            Kind::QrLimitScene,
            SceneValue::Id(100_000),
            None,
        ),
        (
            "permanent=true&scene_str=0123",
            Kind::QrLimitStrScene,
            SceneValue::Text("0123"),
            None,
        ),
        (
            "&&scene_id=1&utm_source=x&from=singlemessage&isappinstalled=0",
            Kind::QrScene,
            SceneValue::Id(1),
            Some(7200),
        ),
    ] {
        let spec = spec(raw).unwrap();
        let scene = spec.scene();
        let got = (
            scene.kind(),
            scene.value(),
            spec.lifetime().map(Lifetime::as_secs),
        );
        assert_eq!(got, (kind, value, life), "query {raw:?}");
    }
}

#[test]
fn bad_queries_name_the_parameter() {
    for (raw, parameter) in [
        ("", "scene_id"),
        ("scene_id=", "scene_id"),
        ("scene_id=0", "scene_id"),
        ("scene_id=1&scene_id=1", "scene_id"),
        ("scene_id=1&scene_str=a", "scene_str"),
        ("scene_id=100001&permanent=true", "scene_id"),
        ("scene_id=1&permanent=1", "permanent"),
        (
            "scene_id=1&permanent=true&expire_seconds=60",
            "expire_seconds",
        ),
        ("scene_id=1&expire_seconds=0", "expire_seconds"),
        ("scene_str=%FF", "scene_str"),
        ("scene_str=wxqr.x", "scene_str"),
        ("scene_str=a%0D%0Ab", "scene_str"),
        ("%FF=1&scene_id=1", "query"),
        ("scene_id=1&expire=60", "expire"),
        ("scene=1", "scene"),
        ("sceneId=1", "sceneId"),
        ("scene_id=1&permanant=true", "permanant"),
        ("scene_id=1&expire_second=60", "expire_second"),
    ] {
        let problem = spec(raw).unwrap_err();
        assert_eq!(
            problem.parameter.as_deref(),
            Some(parameter),
            "query {raw:?}"
        );
        assert_eq!(problem.code.as_str(), "invalid_parameter", "query {raw:?}");
    }
}

#[test]
fn only_a_likely_typo_of_a_known_parameter_is_an_error() {
    for (name, meant) in [
        ("scene", Some("scene_id or scene_str")),
        ("Scene", Some("scene_id or scene_str")),
        ("sceneid", Some("scene_id")),
        ("sceneId", Some("scene_id")),
        ("scene-id", Some("scene_id")),
        ("SCENE_ID", Some("scene_id")),
        ("scene_ids", Some("scene_id")),
        ("scene_d", Some("scene_id")),
        ("sceen_id", Some("scene_id")),
        ("scenestr", Some("scene_str")),
        ("scene_string", None),
        ("permanant", Some("permanent")),
        ("Permanent", Some("permanent")),
        ("expire", Some("expire_seconds")),
        ("expires", Some("expire_seconds")),
        ("expiresIn", Some("expire_seconds")),
        ("expire_second", Some("expire_seconds")),
        ("expireSeconds", Some("expire_seconds")),
        ("fromat", Some("format")),
        ("fragement", Some("fragment")),
        ("margins", Some("margin")),
        ("Size", Some("size")),
        ("LANG", Some("lang")),
        ("colour", Some("color")),
        // Short names have too many neighbours.
        ("sizes", None),
        ("long", None),
        ("colors", None),
        ("b", None),
        ("form", None),
        // What others add.
        ("id", None),
        ("str", None),
        ("ttl", None),
        ("background", None),
        ("language", None),
        ("fg", None),
        ("fmt", None),
        ("perm", None),
        ("from", None),
        ("isappinstalled", None),
        ("subscene", None),
        ("ascene", None),
        ("clicktime", None),
        ("nsukey", None),
        ("openid", None),
        ("code", None),
        ("state", None),
        ("utm_source", None),
        ("utm_id", None),
        ("fbclid", None),
        ("gclid", None),
        ("page", None),
        ("t", None),
        ("v", None),
        ("_", None),
        ("", None),
    ] {
        assert_eq!(near_miss(name), meant, "parameter {name:?}");
    }
}

#[test]
fn a_picture_link_repeats_what_makes_the_picture() {
    let query =
        Query::parse("size=200&scene_id=1&format=json&lang=en&utm_source=x&bg=fff").unwrap();
    let pairs: Vec<_> = query.picture_link_pairs().collect();
    assert_eq!(pairs, [("size", "200"), ("scene_id", "1"), ("bg", "fff")]);
}
