//! The server as somebody meets it who speaks HTTP with it.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(database: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_erp-server"))
            .arg(format!("sqlite:{}", database.display()))
            .arg(inventory())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, stdout, address }
    }

    fn send(&self, method: &str, path: &str, role: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: erp\r\nconnection: close\r\ncontent-type: application/json\r\n\
             x-user: ada\r\nx-role: {role}\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        stream
    }

    /// The status, and the body if it is JSON.
    fn ask(&self, method: &str, path: &str, role: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut answer = String::new();
        self.send(method, path, role, &body).read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Stops it as Ctrl-C does; what it says at the end.
    fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// The example plugin, which is built if it is not there.
fn inventory() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("target/plugins/inventory.component.wasm");
    if !file.is_file() {
        let built = Command::new(env!("CARGO")).args(["xtask", "build-plugins"]).current_dir(&root).status();
        assert!(built.is_ok_and(|status| status.success()), "run: cargo xtask build-plugins");
    }
    file
}

#[test]
fn an_order_goes_to_a_plugin_and_what_it_says_of_it_to_whoever_listens() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("erp.db"));
    let item = json!({ "sku": "A", "name": "Chai", "on_hand": 5 });
    let (status, inserted) = server.ask("POST", "/records/inventory.item", "clerk", &item);
    assert_eq!((status, &inserted["created_by"]), (201, &json!("ada")));
    let (status, refused) = server.ask("GET", "/records/inventory.item", "guest", &Value::Null);
    assert_eq!((status, &refused["code"]), (403, &json!("permission-denied")));
    assert_eq!(server.ask("GET", "/records/inventory.nothing", "clerk", &Value::Null).0, 404);

    let mut listening = BufReader::new(server.send("GET", "/events", "clerk", "")).lines();
    // The answer's head: it listens.
    assert!(listening.next().unwrap().unwrap().contains("200"));
    let order = json!({ "id": "SO-1", "lines": [{ "sku": "A", "quantity": 2 }] });
    assert_eq!(server.ask("POST", "/orders", "clerk", &order).0, 202);
    let heard = listening.map(Result::unwrap).find(|line| line.contains("inventory.order.reserved")).unwrap();
    let heard: Value = serde_json::from_str(heard.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(heard, json!({ "type": "inventory.order.reserved", "data": { "order_id": "SO-1" } }));
    let (_, items) = server.ask("GET", "/records/inventory.item", "clerk", &Value::Null);
    assert_eq!(items["items"][0]["on_hand"], 3);
    let told = server.stop();
    assert!(told.contains("deliveries handled"), "{told}");
}
