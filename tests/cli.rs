//! The program as users meet it: transcripts of whole sessions, and the prompts of a terminal.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use secrecy::ExposeSecret;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tgvault");

/// How long a terminal may show nothing new: far beyond what any step takes.
const SILENCE: Duration = Duration::from_secs(300);

/// A command with nothing of the user's own environment but where programs are.
fn hermetic(program: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
    for name in ["PATH", "TRYCMD"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.env("HOME", home).env("TZ", "UTC").env("TERM", "dumb").env("COLUMNS", "100");
    command
}

/// Runs itself once more with an environment that nobody's settings and credentials can reach.
#[test]
fn transcripts() {
    const INSIDE: &str = "TGVAULT_TEST_TRANSCRIPTS";
    if std::env::var_os(INSIDE).is_some() {
        trycmd::TestCases::new().register_bin("tgvault", Path::new(PROGRAM)).case("tests/cmd/*.trycmd").run();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    let mut command = hermetic(this.to_str().unwrap(), home.path());
    let status = command.env(INSIDE, "1").args(["transcripts", "--exact", "--nocapture"]).status().unwrap();
    assert!(status.success());
}

/// Runs a command line on a terminal of its own, and types an answer whenever the next prompt shows; gives the exit code and
/// what the terminal showed.
fn on_a_terminal(home: &Path, line: &str, answers: &[(&str, &str)]) -> (i32, String) {
    let (code, shown) = as_drawn(home, line, answers);
    (code, shown.replace('\r', ""))
}

/// The same, with everything that moved the cursor.
fn as_drawn(home: &Path, line: &str, answers: &[(&str, &str)]) -> (i32, String) {
    let mut command = hermetic("script", home);
    let (terminal, line) = (home.join("terminal"), format!("tty >terminal; {line}"));
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(home);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of util-linux");
    let (mut keyboard, mut display) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (send, pieces) = mpsc::channel();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = display.read(&mut piece) {
            let _ = send.send(piece[..length].to_vec());
        }
    });
    let (mut shown, mut seen, mut answers) = (Vec::new(), 0, answers.iter());
    let mut next = answers.next();
    loop {
        match pieces.recv_timeout(SILENCE) {
            Ok(piece) => shown.extend_from_slice(&piece),
            Err(RecvTimeoutError::Timeout) => panic!("nothing more is shown after: {}", String::from_utf8_lossy(&shown)),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some((prompt, keys)) = next
            && String::from_utf8_lossy(&shown[seen..]).contains(prompt)
        {
            seen = shown.len();
            wait_until_hidden(&terminal);
            keyboard.write_all(keys.as_bytes()).unwrap();
            next = answers.next();
        }
    }
    drop(keyboard);
    let code = child.wait().unwrap().code().unwrap();
    (code, String::from_utf8_lossy(&shown).into_owned())
}

/// What a terminal of so many columns shows in the end, and the longest line that was drawn on the way.
fn screen(drawn: &str, columns: usize) -> (Vec<String>, usize) {
    let (mut rows, mut row, mut column, mut longest) = (vec![Vec::new()], 0_usize, 0, 0);
    let mut rest = drawn.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                let mut number = String::new();
                let end = loop {
                    match rest.next() {
                        Some(c) if c.is_ascii_digit() || c == ';' || c == '?' => number.push(c),
                        end => break end,
                    }
                };
                let count = number.parse().unwrap_or(1);
                match end {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row += count,
                    Some('K') if number == "2" => rows[row].clear(),
                    Some('K') => rows[row].truncate(column),
                    Some('J') => {
                        rows[row].truncate(column);
                        rows.truncate(row + 1);
                    }
                    _ => {}
                }
            }
            c => {
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
                while rows.len() <= row {
                    rows.push(Vec::new());
                }
                let line: &mut Vec<char> = &mut rows[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
                longest = longest.max(line.len());
            }
        }
        while rows.len() <= row {
            rows.push(Vec::new());
        }
    }
    (rows.into_iter().map(|row: Vec<char>| row.into_iter().collect::<String>().trim_end().to_owned()).collect(), longest)
}

/// A file with a passphrase that nobody else can read.
fn write_passphrase(home: &Path) {
    let file = home.join("passphrase");
    std::fs::write(&file, "able baker charlie dog easy fox george how item jig\n").unwrap();
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn the_bar_fits_the_terminal_and_leaves_nothing_behind() {
    tgvault_test_support::needs_programs!("script", "stty");
    const COLUMNS: usize = 44;
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("export")).unwrap();
    let name = "a file with a rather long name, longer than the terminal is wide.bin";
    std::fs::write(home.path().join("export").join(name), vec![7; 12_000_000]).unwrap();
    write_passphrase(home.path());
    let run = |arguments: &str| {
        let line = format!("stty rows 24 cols {COLUMNS}; TERM=xterm {PROGRAM} --repo vault --passphrase-file passphrase {arguments}");
        let (code, drawn) = as_drawn(home.path(), &line, &[]);
        assert_eq!(code, 0, "{drawn}");
        drawn
    };
    run("init --sheet sheet");
    for (arguments, verb, summary) in
        [("backup export", "saved", "saved snapshot"), ("restore latest --to restored", "restored", "restored snapshot")]
    {
        let drawn = run(arguments);
        assert!(drawn.contains(&format!("{verb} ")) && drawn.contains('\u{1b}'), "nothing was drawn: {drawn:?}");
        let (rows, longest) = screen(&drawn, COLUMNS);
        assert!(longest <= COLUMNS, "{longest} columns: {drawn:?}");
        assert!(rows.first().is_some_and(|row| row.starts_with(summary)), "{rows:#?}\n{drawn:?}");
        assert!(!rows.iter().any(|row| row.contains("[=") || row.contains("/s")), "{rows:#?}");
    }
    // What is printed to be read stands alone.
    let drawn = run(&format!("cat latest '{name}' > printed"));
    assert!(!drawn.contains('\u{1b}'), "{drawn:?}");
}

#[test]
fn quiet_prints_nothing_when_all_is_well() {
    let home = tempfile::tempdir().unwrap();
    write_passphrase(home.path());
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-export");
    let run = |arguments: &[&str]| {
        let mut command = hermetic(PROGRAM, home.path());
        command.current_dir(home.path()).args(["--repo", "vault", "--passphrase-file", "passphrase"]).args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        said
    };
    run(&["init", "--sheet", "sheet"]);
    let sample = sample.to_str().unwrap();
    for arguments in [
        &["backup", sample, "--quiet"][..],
        &["backup", sample, "--quiet"],
        &["backup", sample, "--plain", "--quiet"],
        &["verify", "--quiet"],
        &["verify", "--deep", "--quiet"],
        &["restore", "latest", "--to", "restored", "--quiet"],
        &["restore", "latest", "--to", "all", "--all-sources", "--quiet"],
    ] {
        assert_eq!(run(arguments), "", "{arguments:?}");
    }
}

/// A prompt shows a moment before the terminal hides what is typed, and what was typed before is thrown away.
fn wait_until_hidden(terminal: &Path) {
    let name = std::fs::read_to_string(terminal).unwrap();
    for _ in 0..3_000 {
        let modes = Command::new("stty").args(["-F", name.trim(), "-a"]).output().expect("stty, of coreutils");
        if String::from_utf8_lossy(&modes.stdout).split_whitespace().any(|mode| mode == "-echo") {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the prompt shows what is typed");
}

/// The passphrase on a recovery sheet: numbered words in two columns.
fn passphrase_of(sheet: &str) -> String {
    let (_, words) = sheet.split_once("\n  passphrase ").expect("a passphrase on the sheet");
    let words: Vec<&str> = words.split_whitespace().take(20).collect();
    let mut words: Vec<(u32, &str)> = words.chunks(2).map(|pair| (pair[0].parse().expect("a number"), pair[1])).collect();
    words.sort_unstable();
    words.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_person_at_a_terminal_is_asked_and_told() {
    tgvault_test_support::needs_programs!("script", "stty");
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("export")).unwrap();
    std::fs::write(home.path().join("export/result.json"), "{}").unwrap();
    let run =
        |arguments: &str, answers: &[(&str, &str)]| on_a_terminal(home.path(), &format!("{PROGRAM} --repo vault {arguments}"), answers);
    const ASKS: &str = "Passphrase for ";
    const PROPOSES: &str = "your own (hidden): ";

    // A weak choice is refused, Enter takes the proposed one, the sheet shows it.
    let (code, screen) = run("init", &[(PROPOSES, "hunter2\n"), (PROPOSES, "\n")]);
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("too easy to guess"), "{screen}");
    let passphrase = passphrase_of(&screen);
    assert_eq!(passphrase.split(' ').count(), 10, "{screen}");
    assert_eq!(screen.matches(&passphrase).count(), 1, "suggested in one line, printed in columns: {screen}");

    let (code, screen) = run("backup export", &[]);
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("saved snapshot"), "{screen}");

    // Three tries; a mistyped word is named, and never by what others may read.
    let (code, screen) = run("restore latest --to restored", &[(ASKS, "not it\n"), (ASKS, "nor this\n"), (ASKS, "\u{20}no\n")]);
    assert_eq!(code, 12, "{screen}");
    assert!(screen.contains("hint: ") && screen.matches("try again").count() == 2, "{screen}");
    let words: Vec<&str> = passphrase.split(' ').collect();
    let mistyped = format!("{} {}x {}", words[..3].join(" "), words[3], words[4..].join(" "));
    // Hyphens, capitals and spaces of a generated passphrase do not count.
    let otherwise = format!(" {}  {}", words[..5].join("-").to_uppercase(), words[5..].join("  "));
    let (code, screen) = run("ls latest", &[(ASKS, &format!("{mistyped}\n")), (ASKS, &format!("{otherwise}\n"))]);
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains(&format!("word 4, '{}x', is not in the list: ", words[3])) && screen.contains(words[3]), "{screen}");
    std::fs::write(home.path().join("mistyped"), &mistyped).unwrap();
    let (code, screen) = run("--passphrase-file mistyped ls latest", &[]);
    assert_eq!(code, 12, "{screen}");
    assert!(screen.contains("word 4 of the passphrase") && !screen.contains(&format!("{}x", words[3])), "{screen}");
    std::fs::remove_file(home.path().join("mistyped")).unwrap();
    let (code, screen) = run("restore latest --to restored", &[(ASKS, &format!("{passphrase}\n"))]);
    assert_eq!(code, 0, "{screen}");
    assert_eq!(std::fs::read_to_string(home.path().join("restored/result.json")).unwrap(), "{}");

    // A machine without state is authorised by the passphrase, once.
    std::fs::remove_dir_all(home.path().join(".local")).unwrap();
    let (code, screen) = run("backup export", &[(ASKS, &format!("{passphrase}\n"))]);
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("first backup from this machine"), "{screen}");
    assert_eq!(run("backup export", &[]).0, 0);

    // Ctrl-C at a prompt.
    let (code, screen) = run("ls latest", &[(ASKS, "\u{3}")]);
    assert_eq!(code, 130, "{screen}");
    let (code, screen) = run("-vvv snapshots", &[(ASKS, &format!("{passphrase}\n"))]);
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(&passphrase), "{screen}");
}

#[test]
fn keys_come_in_by_every_way_and_never_by_a_plain_variable() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let run = |configure: &dyn Fn(&mut Command)| {
        let mut command = hermetic(PROGRAM, home.path());
        command.current_dir(home.path()).args(["--repo", "vault"]).stdin(Stdio::null());
        configure(&mut command);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let identity = age::x25519::Identity::generate();
    std::fs::write(at("identity"), identity.to_string().expose_secret()).unwrap();
    let recipient = identity.to_public().to_string();
    let (code, said) = run(&|command| {
        command.args(["init", "--generate-passphrase", "--sheet", "sheet", "-r", &recipient]);
    });
    assert_eq!(code, 0, "{said}");
    let sheet = std::fs::read_to_string(at("sheet")).unwrap();
    let passphrase = passphrase_of(&sheet);
    let passphrase = passphrase.as_str();
    assert!(!said.contains(passphrase), "{said}");
    // What the sheet says of recovery is typed as it stands there.
    let steps = ["  umask 077", "  minisign -Vm recover.sh -P ", "  bash recovery/"];
    assert!(steps.iter().all(|step| sheet.lines().any(|line| line.starts_with(step))), "{sheet}");
    let commands: Vec<&str> = sheet.lines().map(str::trim).filter(|line| line.starts_with("age -d") && line.contains("keys/")).collect();
    assert_eq!(commands.len(), 2, "{sheet}");
    for command in commands {
        let slot = command.split(' ').find(|word| word.starts_with("keys/")).unwrap();
        assert!(at("vault").join(slot).is_file(), "{command}");
        if command.contains("-i FILE") {
            let command = command.replace("../identity.txt", "../opened").replace("FILE", "../identity");
            let status = hermetic("sh", home.path()).current_dir(at("vault")).args(["-c", &command]).status().unwrap();
            assert!(status.success(), "{command}");
            assert!(std::fs::read_to_string(at("opened")).unwrap().starts_with("# tgvault identity"));
        }
    }
    std::fs::write(at("passphrase"), format!("{passphrase}\n")).unwrap();
    std::fs::create_dir(at("credentials")).unwrap();
    std::fs::write(at("credentials/tgvault-passphrase"), passphrase).unwrap();
    std::fs::create_dir_all(at(".config/tgvault")).unwrap();
    std::fs::write(at(".config/tgvault/with-key.toml"), "identity = '~/identity'\nmachine-key = 'file'\n").unwrap();

    type Way<'a> = (&'a str, &'a dyn Fn(&mut Command));
    let ways: [Way<'_>; 8] = [
        ("identity", &|command| {
            command.args(["-i", "identity"]);
        }),
        ("identity from standard input", &|command| {
            command.args(["-i", "-"]).stdin(std::fs::File::open(at("identity")).unwrap());
        }),
        ("file", &|command| {
            command.args(["--passphrase-file", "passphrase"]);
        }),
        ("file variable", &|command| {
            command.env("TGVAULT_PASSPHRASE_FILE", at("passphrase"));
        }),
        ("command variable", &|command| {
            command.env("TGVAULT_PASSPHRASE_COMMAND", "cat passphrase");
        }),
        ("descriptor variable", &|command| {
            command.env("TGVAULT_PASSPHRASE_FD", "0").stdin(std::fs::File::open(at("passphrase")).unwrap());
        }),
        ("systemd", &|command| {
            command.env("CREDENTIALS_DIRECTORY", at("credentials"));
        }),
        ("profile", &|command| {
            command.args(["-P", "with-key"]);
        }),
    ];
    for (way, configure) in ways {
        let (code, said) = run(&|command| {
            command.arg("snapshots");
            configure(command);
        });
        assert_eq!(code, 0, "{way}: {said}");
        assert!(!said.contains(passphrase), "{way}: {said}");
    }
    // A keyring that is not there is said and passed over.
    let (code, said) = run(&|command| {
        command.args(["snapshots", "--keyring"]);
    });
    assert_eq!(code, 12, "{said}");
    assert!(said.contains("cannot read the system keyring"), "{said}");

    let (code, said) = run(&|command| {
        command.arg("snapshots").env("TGVAULT_PASSPHRASE", passphrase);
    });
    assert_eq!(code, 2, "{said}");
    assert!(!said.contains(passphrase), "{said}");
}

#[test]
fn the_demo_restores_with_the_command_that_it_prints() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("export")).unwrap();
    std::fs::write(home.path().join("export/a file"), "content").unwrap();
    let demo = hermetic(PROGRAM, home.path())
        .current_dir(home.path())
        .args(["demo", "--from", "export", "--dir", "it's a demo"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&demo.stdout).into_owned();
    assert!(demo.status.success(), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    let command = said.lines().last().unwrap().trim();
    let restored = hermetic("sh", home.path()).current_dir(home.path()).args(["-c", command]).output().unwrap();
    assert!(restored.status.success(), "{command}: {}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(std::fs::read_to_string(home.path().join("it's a demo/restored/a file")).unwrap(), "content");
    // Without anything of one's own: the sample's chats are imported, searched, and written as pages.
    let demo = hermetic(PROGRAM, home.path()).current_dir(home.path()).arg("demo").output().unwrap();
    let said = String::from_utf8_lossy(&demo.stdout).into_owned();
    assert!(demo.status.success(), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    assert!(said.contains("Did you get the ferry tickets?"), "{said}");
    let page = said.lines().find_map(|line| line.strip_prefix("open it in a browser: ")).unwrap();
    assert!(std::fs::read_to_string(home.path().join(page)).unwrap().contains("<html"), "{page}");
    let restored = hermetic("sh", home.path()).current_dir(home.path()).args(["-c", said.lines().last().unwrap().trim()]).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-export");
    let same = Command::new("diff").arg("-r").args([&sample, &home.path().join("tgvault-demo/restored")]).status().unwrap();
    assert!(same.success());
    // What exists is never touched.
    let again = hermetic(PROGRAM, home.path()).current_dir(home.path()).args(["demo", "--from", "export", "--dir", "it's a demo"]).output();
    assert_eq!(again.unwrap().status.code(), Some(2));
}

#[test]
fn damage_is_reported_with_the_documented_code() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = hermetic(PROGRAM, home.path());
        let output = command.current_dir(home.path()).args(["--repo", "vault"]).args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    std::fs::create_dir(home.path().join("export")).unwrap();
    std::fs::write(home.path().join("export/file"), vec![7; 100_000]).unwrap();
    assert_eq!(run(&["init", "--generate-passphrase", "--sheet", "sheet"]).0, 0);
    let passphrase = passphrase_of(&std::fs::read_to_string(home.path().join("sheet")).unwrap());
    std::fs::write(home.path().join("passphrase"), passphrase).unwrap();
    assert_eq!(run(&["backup", "export"]).0, 0);
    assert_eq!(run(&["verify"]).0, 0);
    for archive in walk(&home.path().join("vault/archives")) {
        let mut bytes = std::fs::read(&archive).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::remove_file(&archive).unwrap();
        std::fs::write(&archive, bytes).unwrap();
    }
    let (code, said) = run(&["verify"]);
    assert_eq!(code, 15, "{said}");
    assert!(said.contains("problem: archives/"), "{said}");
    let (code, said) = run(&["--passphrase-file", "passphrase", "restore", "latest", "--to", "restored"]);
    assert_eq!(code, 15, "{said}");
    assert!(!home.path().join("restored/file").exists());
    for copy in ["vault/tgvault.json", "vault/mirror/tgvault.json"] {
        std::fs::write(home.path().join(copy), r#"{"format":"9.0","repository":"00000000000000000000000000000000"}"#).unwrap();
    }
    let (code, said) = run(&["verify"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("9.0") && said.contains("hint: use a newer tgvault"), "{said}");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
