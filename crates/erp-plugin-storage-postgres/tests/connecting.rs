//! Who is let in and who is believed: TLS as the URL says, passwords, and servers that are not there.

#![cfg(unix)]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use erp_plugin_storage::{ErrorKind, StorageError};
use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage};

use support::cluster::{Cluster, not_run};
use support::notes::{reason, refused};

/// Whoever comes by TCP gives a password, encrypted or not.
const RULES: &str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
/// As above, and encrypted only.
const RULES_TLS: &str = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";

async fn open(url: &str) -> Result<PostgresStorage, StorageError> {
    PostgresStorage::open(&PostgresOptions::from_url(url).unwrap()).await
}

/// Whether a server was reached and let us in: the database itself was never set up.
fn is_in(opened: Result<PostgresStorage, StorageError>) -> Result<(), String> {
    let error = refused(opened);
    match error.kind {
        ErrorKind::NeedsMigration => Ok(()),
        ErrorKind::Unavailable => Err(reason(&error)),
        other => panic!("{other:?}: {}", reason(&error)),
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let mut openssl = Command::new("openssl");
    let answer = openssl.args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(answer.status.success(), "{arguments}: {}", String::from_utf8_lossy(&answer.stderr));
}

/// Two authorities, and a certificate that the first gives the server `localhost`.
fn certificates(folder: &Path) {
    for authority in ["ca", "other"] {
        openssl(
            folder,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={authority} \
                 -keyout {authority}.key -out {authority}.pem"
            ),
        );
    }
    openssl(
        folder,
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key \
         -out server.csr",
    );
    fs::write(folder.join("extensions"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem",
    );
}

/// A server with a user erp, whose password is secret.
async fn server(rules: &str, settings: &[&str], prepare: impl FnOnce(&Path)) -> Option<Cluster> {
    let cluster = Cluster::start(settings, |folder| {
        fs::write(folder.join("data/pg_hba.conf"), rules).unwrap();
        prepare(folder);
    });
    let cluster = cluster.await?;
    let admin = support::connect(&cluster.url).await;
    admin.batch_execute("CREATE ROLE erp LOGIN PASSWORD 'secret'").await.unwrap();
    Some(cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_of_tls_believes_what_it_says() {
    if Command::new("openssl").arg("version").output().is_err() {
        return not_run("there is no openssl to make certificates with");
    }
    let settings = [
        "listen_addresses = '127.0.0.1'",
        "ssl = on",
        "ssl_cert_file = 'FOLDER/server.pem'",
        "ssl_key_file = 'FOLDER/server.key'",
    ];
    let Some(cluster) = server(RULES_TLS, &settings, certificates).await else { return };
    // Ours may read them.
    let certificate = |name: &str| cluster.folder.join(name).to_str().unwrap().replace('/', "%2F");
    let (own, other) = (certificate("ca.pem"), certificate("other.pem"));
    let with = |host: &str, options: &str| {
        format!("postgres://erp:secret@{host}:{}/postgres?{options}", cluster.port)
    };
    for mode in ["prefer", "allow", "require"] {
        is_in(open(&with("127.0.0.1", &format!("sslmode={mode}"))).await).unwrap();
    }
    let refusal = is_in(open(&with("127.0.0.1", "sslmode=disable")).await).unwrap_err();
    assert!(refusal.contains("no encryption"), "{refusal}");

    is_in(open(&with("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={own}"))).await).unwrap();
    is_in(open(&with("127.0.0.1", &format!("sslrootcert={own}"))).await).unwrap();
    is_in(open(&with("localhost", &format!("sslmode=verify-full&sslrootcert={own}"))).await).unwrap();
    let full = format!("sslmode=verify-full&sslrootcert={own}");
    let refusal = is_in(open(&with("127.0.0.1", &full)).await).unwrap_err();
    assert!(refusal.contains("not valid for name"), "{refusal}");
    for mode in ["verify-ca", "verify-full"] {
        for options in [format!("sslmode={mode}&sslrootcert={other}"), format!("sslmode={mode}")] {
            let refusal = is_in(open(&with("localhost", &options)).await).unwrap_err();
            assert!(refusal.contains("UnknownIssuer") || refusal.contains("sslrootcert"), "{refusal}");
        }
        let missing = format!("sslmode={mode}&sslrootcert=%2Fnowhere");
        let refusal = is_in(open(&with("localhost", &missing)).await).unwrap_err();
        assert!(refusal.starts_with("TLS: sslrootcert /nowhere: "), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_used_only_by_who_does_not_ask_for_it() {
    let Some(cluster) = server(RULES, &["listen_addresses = '127.0.0.1'"], |_| {}).await else { return };
    let with =
        |mode: &str| format!("postgres://erp:secret@127.0.0.1:{}/postgres?sslmode={mode}", cluster.port);
    for mode in ["disable", "allow", "prefer"] {
        is_in(open(&with(mode)).await).unwrap();
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let refusal = is_in(open(&with(mode)).await).unwrap_err();
        assert!(refusal.contains("does not support TLS") || refusal.contains("sslrootcert"), "{refusal}");
    }
    for (user, database, said) in [
        ("erp:wrong", "postgres", "password authentication failed for user \"erp\""),
        ("erp", "postgres", "password missing"),
        ("nobody:secret", "postgres", "password authentication failed"),
        ("erp:secret", "nowhere", "database \"nowhere\" does not exist"),
    ] {
        let url = format!("postgres://{user}@127.0.0.1:{}/{database}", cluster.port);
        let refusal = is_in(open(&url).await).unwrap_err();
        assert!(refusal.contains(said), "{refusal}");
        assert!(!refusal.contains("secret") && !refusal.contains("wrong"), "{refusal}");
    }
    let began = Instant::now();
    let port = cluster.port;
    drop(cluster);
    let refusal = is_in(open(&format!("postgres://erp@127.0.0.1:{port}/postgres")).await).unwrap_err();
    assert!(refusal.contains("refused"), "{refusal}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    // It takes connections, or the system does in its name, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let began = Instant::now();
    let url = format!("postgres://erp@127.0.0.1:{port}/postgres?connect_timeout=1&sslmode=disable");
    let opened = tokio::time::timeout(Duration::from_secs(10), open(&url)).await;
    let refusal = is_in(opened.unwrap_or_else(|_| panic!("it waits for ever"))).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "{refusal}");
}
