//! The code that `protoc` makes of the contract for Go: it compiles, and the example of
//! `docs/clients/go.md` runs with it.
//!
//! Nothing is downloaded: gRPC comes from Go's cache of modules, or from source below `GOPATH` or
//! where Debian's packages put it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vitalog_tests::{copy_directory, skip};

use super::Guarded;

const TEST: &str = "clients::go";

/// What the page takes for granted, each with the word that makes it say its version.
const PROGRAMS: [(&str, &str); 4] = [
    ("go", "version"),
    ("protoc", "--version"),
    ("protoc-gen-go", "--version"),
    ("protoc-gen-go-grpc", "--version"),
];

const GRPC: &str = "google.golang.org/grpc";

/// Where Debian's packages of Go put their source, in `src`.
const DEBIAN: &str = "/usr/share/gocode";

/// What `go` says where a module, or the Go that it asks for, would have to be downloaded.
const MISSING: [&str; 2] = ["disabled by GOPROXY=off", "toolchain not available"];

/// Where gRPC is.
enum Source {
    /// In the cache of modules, in this version.
    Module(String),
    /// In `src` of this folder, as before there were modules.
    Folder(PathBuf),
}

impl Source {
    fn find() -> Option<Self> {
        let version = folders("GOMODCACHE")
            .iter()
            .find_map(|cache| newest_version(cache));
        let mut paths = folders("GOPATH");
        paths.push(DEBIAN.into());
        let folder = paths
            .into_iter()
            .find(|path| path.join("src").join(GRPC).is_dir());
        version.map(Self::Module).or(folder.map(Self::Folder))
    }

    /// `go` in the folder `app`, which lies in `src` of `root`.
    fn go(&self, root: &Path, app: &Path) -> Command {
        let mut go = Command::new("go");
        go.current_dir(app)
            .env("GOPROXY", "off")
            .env("GOSUMDB", "off");
        match self {
            Self::Module(_) => {
                go.env("GO111MODULE", "on").env("GOFLAGS", "-mod=mod");
            }
            Self::Folder(folder) => {
                let path = std::env::join_paths([root, folder]).unwrap();
                go.env("GO111MODULE", "off")
                    .env("GOFLAGS", "")
                    .env("GOPATH", path);
            }
        }
        go
    }
}

/// The folders that a setting of `go` names.
fn folders(setting: &str) -> Vec<PathBuf> {
    let output = Command::new("go").args(["env", setting]).output().unwrap();
    let paths = String::from_utf8(output.stdout).unwrap();
    std::env::split_paths(paths.trim()).collect()
}

/// The newest version of gRPC in a cache of modules.
fn newest_version(cache: &Path) -> Option<String> {
    let folder = cache.join("cache/download").join(GRPC).join("@v");
    let names = fs::read_dir(folder)
        .ok()?
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| name.strip_suffix(".zip").map(str::to_owned))
        .max_by_key(|version| numbers(version))
}

/// The numbers of a version such as `v1.64.0`.
fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split(|char: char| !char.is_ascii_digit());
    parts.filter_map(|part| part.parse().ok()).collect()
}

#[test]
fn the_example_runs_with_generated_code() {
    for (program, word) in PROGRAMS {
        if Command::new(program).arg(word).output().is_err() {
            return skip(TEST, &format!("there is no {program}"));
        }
    }
    let Some(source) = Source::find() else {
        let reason = format!("{GRPC} is neither in Go's cache of modules nor in GOPATH");
        return skip(TEST, &reason);
    };
    let server = Guarded::start();
    let root = server.place.path("go");
    let app = root.join("src/example.com/app");
    fs::create_dir_all(&app).unwrap();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    copy_directory(&contract, &app.join("proto")).unwrap();
    let page = server.page("go.md");
    server.run(
        Command::new("sh")
            .args(["-eu", "-c", &page.code("sh")])
            .current_dir(&app),
    );
    fs::write(app.join("main.go"), page.code("go")).unwrap();
    if let Source::Module(version) = &source {
        let module = format!("module example.com/app\n\nrequire {GRPC} {version}\n");
        fs::write(app.join("go.mod"), module).unwrap();
    }
    let mut build = source.go(&root, &app);
    build.args(["build", "-o", "example", "."]);
    let built = build.output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    let is_missing = |line: &&str| MISSING.iter().any(|words| line.contains(*words));
    if let Some(line) = said.lines().find(is_missing) {
        return skip(TEST, line.trim());
    }
    assert!(built.status.success(), "{said}");
    server.run(source.go(&root, &app).args(["vet", "."]));
    let printed = server.run(&mut Command::new(app.join("example")));
    assert_eq!(printed, page.printed("go"));
}
