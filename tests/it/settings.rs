//! What settings are taken, from where, and what is said of bad ones.

use std::process::Command;

use crate::support::root;

const THEME: &str = "VERSION_CODE = \"1\"\nVERSION_NAME = \"Version 1.0\"\nBACKGROUND_COLOR = \"#F0A5C1\"\nCOLOR = \"#255\"\nFONT_FAMILY = \"Serif\"\n";

/// What `serve` says of a theme file with these lines in it and these variables, if it stops at the start.
fn refusal(theme: &str, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("theme.toml"), theme).expect("written");
    // A port that is taken ends every start that gets past its settings.
    let taken = crate::support::any_port();
    let address = taken.local_addr().expect("an address").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickshift"));
    command
        .args(["serve", "--theme", "theme.toml", "--listen", &address, "--admin-listen", "127.0.0.1:0"])
        .current_dir(folder.path());
    let output = command.envs(variables.iter().copied()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("text")
}

const TAKEN: &str = "could not listen on";

#[test]
fn good_settings_are_taken_from_the_file_and_the_environment() {
    assert!(refusal(THEME, &[]).contains(TAKEN));
    assert!(refusal(&format!("{THEME}SESSION_SECONDS = 900\n"), &[]).contains(TAKEN));
    let variables = [
        ("STICKSHIFT_SESSION_SECONDS", "900"),
        ("STICKSHIFT_VERSION_CODE", "007"),
        ("STICKSHIFT_KEYS", "0123456789abcdef0123456789abcdef"),
        ("STICKSHIFT_ACCEPT_BARE_TOKENS", "true"),
        ("STICKSHIFT_ORIGIN_SECRET", "sesame"),
    ];
    assert!(refusal(THEME, &variables).contains("version 007"), "a code of digits is no number");
    // The environment wins over a bad value in the file.
    let theme = THEME.replace("#255", "no color");
    assert!(refusal(&theme, &[("STICKSHIFT_COLOR", "#255")]).contains(TAKEN));
}

#[test]
fn bad_values_stop_the_start_and_are_named_with_their_place() {
    for (lines, says) in [
        ("SESSION_SECONDS = 5", "SESSION_SECONDS in theme.toml: 5 is out of range: session_seconds takes 60 to 86400"),
        ("TOUCH_INTERVAL_SECONDS = 601", "TOUCH_INTERVAL_SECONDS in theme.toml"),
        ("SESSION_SECONDS = \"ten minutes\"", "SESSION_SECONDS in theme.toml"),
        ("SESSION_SECONDS = -600", "SESSION_SECONDS in theme.toml"),
        (
            "PLAN_TTL_SECONDS = 3601",
            "PLAN_TTL_SECONDS in theme.toml: 3601 is out of range: plan_ttl_seconds takes 0 to 30",
        ),
        (
            "SESION_SECONDS = 600",
            "SESION_SECONDS in theme.toml: there is no such setting; the nearest name is SESSION_SECONDS",
        ),
        ("KEYS = \"0123456789abcdef0123456789abcdef\"", "KEYS in theme.toml: a secret does not belong in a file"),
        (
            "SESSIONS_TABLE = \"my table\"",
            "SESSIONS_TABLE in theme.toml: `my table` is not a table name: expected 3 to 255 characters of A-Z a-z 0-9 _ - .",
        ),
        ("VERSION_CODE = ", "could not read the theme file theme.toml"),
    ] {
        let refusal = refusal(&format!("{THEME}{lines}\n"), &[]);
        assert!(refusal.contains(says), "{says} is not in {refusal}");
        assert!(!refusal.contains("0123456789"), "{refusal}");
    }
    for (name, value, says) in [
        ("STICKSHIFT_SESSION_SECONDS", "5", "STICKSHIFT_SESSION_SECONDS in the environment: "),
        ("STICKSHIFT_SESSION_SECONDS", "soon", "STICKSHIFT_SESSION_SECONDS in the environment: "),
        ("STICKSHIFT_ACCEPT_BARE_TOKENS", "perhaps", "STICKSHIFT_ACCEPT_BARE_TOKENS in the environment: "),
        (
            "STICKSHIFT_TOUCH_INTERVL",
            "1",
            "STICKSHIFT_TOUCH_INTERVL in the environment: there is no such setting; the nearest name is TOUCH_INTERVAL_SECONDS",
        ),
        ("STICKSHIFT_KEYS", "hunter2", "STICKSHIFT_KEYS in the environment: key 1 has 7 characters"),
        (
            "STICKSHIFT_SAME_SITE",
            "strict",
            "STICKSHIFT_SAME_SITE in the environment: `strict`: expected `lax` or `none`",
        ),
        ("STICKSHIFT_ORIGIN_SECRET", "", "STICKSHIFT_ORIGIN_SECRET in the environment: it is empty"),
        (
            "STICKSHIFT_TLS_CERTIFICATE",
            "/certificate.pem",
            "STICKSHIFT_TLS_CERTIFICATE in the environment: it needs TLS_KEY as well",
        ),
        ("STICKSHIFT_TLS_KEY", "", "STICKSHIFT_TLS_KEY in the environment: it is empty"),
        ("STICKSHIFT_TLS_KEY", "/key.pem", "STICKSHIFT_TLS_KEY in the environment: it needs TLS_CERTIFICATE as well"),
        (
            "STICKSHIFT_ROLLOUT_TABLE",
            "SessionsTable",
            "ROLLOUT_TABLE in the environment: `SessionsTable` is the table of sessions",
        ),
        ("STICKSHIFT_ROLLOUT_TABLE", "R", "STICKSHIFT_ROLLOUT_TABLE in the environment: `R` is not a table name"),
        (
            "STICKSHIFT_COLOR",
            "red;}*{color:blue",
            "STICKSHIFT_COLOR in the environment: `red;}*{color:blue`: expected a CSS color",
        ),
    ] {
        let refusal = refusal(THEME, &[(name, value)]);
        assert!(refusal.contains(says), "{says} is not in {refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    let both = refusal(&format!("{THEME}KEYS = \"x\"\n"), &[("STICKSHIFT_KEYS", "0123456789abcdef0123456789abcdef")]);
    assert!(both.contains("KEYS in theme.toml: a secret does not belong in a file"), "{both}");
    let missing = refusal(&THEME.replace("COLOR = \"#255\"\n", ""), &[]);
    assert!(missing.contains("COLOR in theme.toml is missing"), "{missing}");
}

#[test]
fn bad_settings_of_a_sidecar_stop_the_start() {
    for (name, value, says) in [
        ("ASSET_PATHS", "assets", "`assets`: expected a path that begins and ends with `/`, for example /assets/"),
        ("UPSTREAM_HOST", "both", "`both`: expected `viewer` or `upstream`"),
        ("UPSTREAM_HEAD_SECONDS", "0", "0 is out of range: upstream_head_seconds takes 1 to 3600"),
        ("UPSTREAM_CONNECTIONS", "many", ""),
        ("BODY_LIMIT_BYTES", "-1", ""),
        ("ASSET_PATH", "/a/", "there is no such setting; the nearest name is ASSET_PATHS"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stickshift"));
        command.args(["sidecar", "--version-code", "1", "--upstream", "http://127.0.0.1:9"]);
        let output = command.env(format!("STICKSHIFT_{name}"), value).output().expect("it runs");
        let refusal = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{name}: {refusal}");
        assert!(refusal.contains(&format!("STICKSHIFT_{name} in the environment: ")), "{refusal}");
        assert!(refusal.contains(says), "{refusal}");
    }
}

#[test]
fn what_kubernetes_sets_for_a_service_of_our_name_is_passed_over() {
    let links = [
        ("STICKSHIFT_SERVICE_HOST", "10.0.0.11"),
        ("STICKSHIFT_SERVICE_PORT", "8000"),
        ("STICKSHIFT_SERVICE_PORT_HTTP", "8000"),
        ("STICKSHIFT_PORT", "tcp://10.0.0.11:8000"),
        ("STICKSHIFT_PORT_8000_TCP", "tcp://10.0.0.11:8000"),
        ("STICKSHIFT_PORT_8000_TCP_PROTO", "tcp"),
        ("STICKSHIFT_PORT_8000_TCP_PORT", "8000"),
        ("STICKSHIFT_PORT_8000_TCP_ADDR", "10.0.0.11"),
        ("STICKSHIFT_V1_SERVICE_HOST", "10.0.0.12"),
        ("STICKSHIFT_EDGE_BLUE_PORT_443_TCP_PORT", "443"),
    ];
    assert!(refusal(THEME, &links).contains(TAKEN));
    for name in ["STICKSHIFT_PORTS", "STICKSHIFT_PORT_X_TCP", "STICKSHIFT_PORT_80_TCP_NAME", "STICKSHIFT_SERVICE"] {
        assert!(refusal(THEME, &[(name, "1")]).contains("there is no such setting"), "{name}");
    }
}

#[test]
fn the_articles_themes_are_as_given() {
    let theme =
        |version: &str| std::fs::read_to_string(root().join(format!("themes/version{version}.toml"))).expect("a theme");
    for (version, values) in [
        ("1", ["\"1\"", "\"Version 1.0\"", "\"#F0A5C1\"", "\"#255\"", "\"Times New Roman, Serif\""]),
        ("2", ["\"2\"", "\"Version 2.0\"", "\"#08122C\"", "\"#E8C2C8\"", "\"Calibri, Helvetica, Sans-Serif\""]),
    ] {
        for value in values {
            assert!(theme(version).contains(value), "{value} is not in version {version}'s theme");
        }
    }
}
