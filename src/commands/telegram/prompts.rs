//! What a login asks: on the terminal, from commands and files, or as lines on standard input.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::commands::output::Output;
use crate::commands::secrets::{self, SecretError};
use crate::source::telegram::LoginPrompts;

/// Where the answers come from, where not from the terminal or standard input.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The command that prints the code.
    pub code_command: Option<OsString>,
    /// The command that prints the second password.
    pub password_command: Option<OsString>,
    /// The file with the second password.
    pub password_file: Option<PathBuf>,
}

/// Answers the questions of one login.
pub struct Prompts {
    output: Output,
    answers: Answers,
    /// Commands and files give the same wrong answer again; each is asked once.
    code_given: bool,
    password_given: bool,
    /// Where the last code was said to be.
    code_told: Option<String>,
}

#[derive(Serialize)]
struct QrMessage<'a> {
    message_type: &'static str,
    link: &'a str,
}

impl Prompts {
    /// Answers as `answers` says, else by asking.
    pub fn new(output: &Output, answers: Answers) -> Self {
        Self { output: output.clone(), answers, code_given: false, password_given: false, code_told: None }
    }
}

fn told(error: SecretError) -> io::Error {
    match error {
        SecretError::Interrupted => io::ErrorKind::Interrupted.into(),
        error => {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            io::Error::other(format!("{error}{cause}"))
        }
    }
}

fn once(given: &mut bool, what: &str) -> io::Result<()> {
    if std::mem::replace(given, true) {
        return Err(io::Error::other(format!("the {what} is wrong")));
    }
    Ok(())
}

/// Asks on the terminal; what is typed is shown.
fn ask_openly(prompt: &str) -> io::Result<String> {
    let mut terminal = io::stderr().lock();
    terminal.write_all(prompt.as_bytes())?;
    terminal.flush()?;
    drop(terminal);
    let line = secrets::input_line("answer").map_err(told)?;
    Ok(line.expose_secret().trim().to_owned())
}

impl LoginPrompts for Prompts {
    fn phone(&mut self) -> io::Result<String> {
        if secrets::can_ask() {
            ask_openly("Phone number with country code (+44…): ")
        } else {
            Err(io::Error::other("use --phone NUMBER"))
        }
    }

    fn code(&mut self, how: &str) -> io::Result<SecretString> {
        if let Some(command) = &self.answers.code_command {
            once(&mut self.code_given, "code")?;
            return secrets::command_line("code", command).map_err(told);
        }
        if self.code_told.as_deref() != Some(how) {
            self.output.say(&format!("Telegram sent a code: {how}"));
            self.code_told = Some(how.to_owned());
        }
        if secrets::can_ask() {
            return ask_openly("Code: ").map(SecretString::from);
        }
        secrets::input_line("code").map_err(told)
    }

    fn password(&mut self, hint: Option<&str>) -> io::Result<SecretString> {
        if let Some(command) = &self.answers.password_command {
            once(&mut self.password_given, "password")?;
            return secrets::command_line("password", command).map_err(told);
        }
        if let Some(file) = &self.answers.password_file {
            once(&mut self.password_given, "password")?;
            return secrets::file_line("password", file, &mut |text| self.output.warn(&text)).map_err(told);
        }
        if secrets::can_ask() {
            if let Some(hint) = hint.filter(|hint| !hint.is_empty()) {
                self.output.say(&format!("password hint: {hint}"));
            }
            return secrets::ask("Two-step verification password: ").map_err(told);
        }
        secrets::input_line("password").map_err(told)
    }

    fn show_qr(&mut self, link: &str) -> io::Result<()> {
        if self.output.is_json() {
            // Whoever reads the lines draws the code.
            return self.output.json(&QrMessage { message_type: "login_qr", link }).map_err(io::Error::other);
        }
        let code = QrCode::new(link).map_err(io::Error::other)?;
        let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        self.output.tell(&format!(
            "{drawn}\nScan this with Telegram on a phone: Settings > Devices > Link Desktop Device. The code is renewed every 30 seconds.\n"
        ));
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.output.say(text);
    }
}
