use wechat::scene::{Kind, SceneValue};

use super::*;

fn spec(raw: &str) -> Result<CodeSpec, Problem> {
    QrcodeQuery::parse(raw)?.code_spec("7200".parse().unwrap())
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
        ("scene_string", Some("scene_str")),
        ("sence_str", Some("scene_str")),
        ("sence_id", Some("scene_id")),
        ("permanant", Some("permanent")),
        ("permenant", Some("permanent")),
        ("pernament", Some("permanent")),
        ("PERMENANT", Some("permanent")),
        ("PERMANENT", Some("permanent")),
        ("is_permanent", Some("permanent")),
        ("isPermanent", Some("permanent")),
        ("action_name", Some("permanent")),
        ("permanent~true", Some("permanent")),
        ("permanent-true", Some("permanent")),
        ("permanent true", Some("permanent")),
        ("permanent:true", Some("permanent")),
        ("scene-str-b", Some("scene_str")),
        ("expire_seconds>60", Some("expire_seconds")),
        ("size-200", Some("size")),
        ("expire_secs", Some("expire_seconds")),
        ("experi_seconds", Some("expire_seconds")),
        ("Exipre_Secnods", Some("expire_seconds")),
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
        ("", None),
    ] {
        assert_eq!(near_miss(name, ""), meant, "parameter {name:?}");
    }
}

#[test]
fn parameters_that_others_add_are_ignored() {
    // WeChat and its articles, campaigns and advertising, sharing, cache busters, frameworks.
    let foreign = "from isappinstalled subscene ascene sub_scene clicktime enterid sessionid \
        devicetype version nettype abtest_cookie exportkey pass_ticket wx_header fontScale key uin \
        chksm mid idx sn __biz mpshare srcid sharer_shareinfo sharer_shareinfo_first \
        sharer_sharetime sharer_shareid scenenote nsukey openid unionid code state winzoom \
        poc_token wechat_real_lang wxwork_userid wxfrom wx_lazy wx_co wxref \
        utm_source utm_medium utm_campaign utm_content utm_term utm_id gclid gclsrc gbraid wbraid \
        gad_source gad_campaignid dclid fbclid msclkid yclid ttclid twclid li_fat_id igshid igsh \
        mc_cid mc_eid _ga _gl _hsenc _hsmi vero_id vero_conv oly_enc_id oly_anon_id bd_vid qz_gdt \
        gdt_vid clickid click_id spm scm pvid srsltid epik wt_mc trk sc_channel mkt_tok ef_id \
        s_kwcid cmpid hsa_acc pk_campaign mtm_campaign matomo_campaign ref referrer source channel \
        campaign medium term content share share_token share_source shareuid share_id share_from \
        timestamp nonce signature sign echostr msg_signature encrypt_type ticket token access_token \
        _t t _ v ts time rand random r cb callback jsoncallback jsonp nocache cache \
        id str ttl background language fg fmt perm b uid user userid user_id sid pid cid aid tid \
        page pagesize limit offset sort order q query keyword search type category tag name title \
        url redirect redirect_uri return_url next locale country region city store shop table \
        theme mode debug preview fullscreen width height app appid platform os device client build \
        env test segment payment document permalink permission presence personnel expand export \
        scan seconds second sender scenario screen scene_type";
    for name in foreign.split_whitespace() {
        for value in ["", "1"] {
            assert_eq!(near_miss(name, value), None, "parameter {name:?}");
        }
        let query = QrcodeQuery::parse(&format!("scene_id=1&{name}=x-1~2"));
        assert!(query.is_ok(), "parameter {name:?}");
    }
    assert_eq!(near_miss("a-size", ""), None);
    assert_eq!(near_miss("permanent-true-x", "1"), None);
}

#[test]
fn a_picture_link_repeats_what_makes_the_picture() {
    let query =
        QrcodeQuery::parse("size=200&scene_id=1&format=json&lang=en&utm_source=x&bg=fff").unwrap();
    let pairs: Vec<_> = query.picture_link_pairs().collect();
    assert_eq!(pairs, [("size", "200"), ("scene_id", "1"), ("bg", "fff")]);
}
