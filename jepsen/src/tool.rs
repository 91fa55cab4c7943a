//! Programs of the machine, run to their end: `ip`, `mount`, a C compiler.

use std::process::{Command, Stdio};

use crate::HarnessError;

/// Runs a program that must succeed; returns what it printed.
pub fn tool(program: &str, arguments: &[&str]) -> Result<String, HarnessError> {
    let failed = |said: String| HarnessError::Tool { command: format!("{program} {}", arguments.join(" ")), said };
    // Programs of the administrator are not in everybody's path.
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
