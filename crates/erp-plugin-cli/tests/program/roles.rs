//! `erp-plugin roles`: every verb, and what roles give to a user of `--user`.

use serde_json::json;

use crate::place::{Place, on_every_backend};
use crate::program::{Done, erp_plugin};

on_every_backend! {
    a_role_is_set_shown_assigned_taken_away_and_removed
    a_user_may_what_the_roles_give
    a_role_that_cannot_be_is_told_the_way_out
}

impl Place {
    fn roles(&self, words: &[&str]) -> Done {
        let place = ["--db", &self.database, "--tenant", "acme"];
        erp_plugin(["roles"].iter().chain(words).chain(&place))
    }

    /// A verb that does what it is asked to do, and what it printed.
    fn roles_done(&self, words: &[&str]) -> String {
        let done = self.roles(words);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        done.stdout
    }
}

fn a_role_is_set_shown_assigned_taken_away_and_removed(place: &Place) {
    place.install("acme");
    assert_eq!(place.roles_done(&["list"]), "no roles; `erp-plugin roles set` makes one\n");
    let set = ["set", "sales.clerk", "--permission", "crm.*", "--permission", "crm.*", "--permission", "a.b"];
    assert_eq!(place.roles_done(&set), "sales.clerk of acme gives 2 permissions\n");
    let nothing = place.roles(&["set", "nothing", "--json"]).json();
    assert_eq!(nothing, json!({ "name": "nothing", "permissions": [], "users": [] }));
    for user in ["ada", "ben"] {
        let text = place.roles_done(&["assign", "sales.clerk", "--to", user]);
        assert_eq!(text, format!("{user} has sales.clerk in acme\n"));
    }
    assert_eq!(
        place.roles_done(&["list"]),
        "role         permissions  users\n\
         nothing                0      0\n\
         sales.clerk            2      2\n"
    );
    assert_eq!(
        place.roles_done(&["show", "sales.clerk"]),
        "sales.clerk\npermissions:\n  a.b\n  crm.*\nusers:\n  ada\n  ben\n"
    );
    let clerk = json!({ "name": "sales.clerk", "permissions": ["a.b", "crm.*"], "users": ["ada", "ben"] });
    assert_eq!(place.roles(&["show", "sales.clerk", "--json"]).json(), clerk);
    assert_eq!(place.roles(&["list", "--json"]).json(), json!({ "roles": [nothing, clerk] }));

    let text = place.roles_done(&["unassign", "sales.clerk", "--from", "ada"]);
    assert_eq!(text, "ada no longer has sales.clerk in acme\n");
    let done = place.roles(&["unassign", "sales.clerk", "--from", "ada"]);
    assert!(done.error().contains("ada has no role sales.clerk in acme"), "{done:?}");
    let text = place.roles_done(&["remove", "sales.clerk"]);
    assert_eq!(text, "sales.clerk of acme is removed; 1 user had it\n");
    for verb in ["show", "remove"] {
        let done = place.roles(&[verb, "sales.clerk"]);
        assert_eq!(done.code, Some(1));
        assert!(done.error().contains("acme has no role sales.clerk; its roles: nothing"), "{done:?}");
    }
}

fn a_user_may_what_the_roles_give(place: &Place) {
    place.install("acme");
    let insert = |user: &[&str]| {
        let words = ["records", "insert", "test-sample.note", r#"{"title":"a"}"#, "--db", &place.database];
        erp_plugin(words.iter().chain(&["--tenant", "acme"]).chain(user))
    };
    let ada = ["--user", "ada"];
    assert_eq!(insert(&ada).code, Some(1));
    place.roles_done(&["set", "clerk", "--permission", "test-sample.note.insert"]);
    assert_eq!(insert(&ada).code, Some(1), "the role is nobody's");
    // Of a role that the platform says somebody has, what the tenant made of it counts.
    assert_eq!(insert(&["--user", "ben", "--role", "clerk"]).code, Some(0));
    assert_eq!(insert(&["--user", "ben", "--role", "boss"]).code, Some(1));
    place.roles_done(&["assign", "clerk", "--to", "ada"]);
    let done = insert(&ada);
    assert_eq!((done.code, done.json()["created_by"].as_str()), (Some(0), Some("ada")), "{done:?}");
    place.roles_done(&["remove", "clerk"]);
    let done = insert(&ada);
    let denied = "ada lacks the permission test-sample.note.insert; a role can give it";
    assert!(done.error().contains(denied), "{done:?}");
}

fn a_role_that_cannot_be_is_told_the_way_out(place: &Place) {
    place.install("acme");
    let done = place.roles(&["assign", "boss", "--to", "ada"]);
    assert_eq!(done.code, Some(1));
    assert!(done.error().contains("acme has no role boss; make it first. Its roles: none"), "{done:?}");
    let done = place.roles(&["set", "boss", "--permission", "inv*"]);
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("invalid permission pattern \"inv*\""), "{done:?}");
    let done = erp_plugin(["roles", "list", "--db", &place.database, "--tenant", "other"]);
    assert!(done.error().contains("no tenant other"), "{done:?}");
    let done = erp_plugin(["roles", "list", "--db", "nowhere.db", "--tenant", "acme"]);
    assert!(done.error().contains("there is no database nowhere.db"), "{done:?}");
}
