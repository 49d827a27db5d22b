//! What a smoke test with bad intent would try, one deed a verb. Only tests run it; it is its own sandbox's helper.
//! Exit code 0 means that the deed succeeded, 3 that it was prevented.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::{TcpStream, UdpSocket},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, getppid, kill_process, setsid};

const PREVENTED: u8 = 3;

fn main() -> ExitCode {
    if let Some(done) = plugmend_sandbox::helper(std::env::args().skip(1)) {
        return done;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match deed(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Nobody may listen any more.
            let _ = writeln!(io::stderr(), "prevented: {e}");
            ExitCode::from(PREVENTED)
        }
    }
}

fn deed(words: &[&str]) -> io::Result<()> {
    match words {
        ["fork-bomb", mark] => fork_bomb(mark),
        ["fill-disk"] => fill_disk(),
        ["fill-memory"] => fill_memory(),
        ["flood"] => loop {
            io::stdout().write_all(&[b'x'; 8 * 1024])?;
        },
        ["sleep", _mark] => loop {
            std::thread::sleep(Duration::from_hours(1));
        },
        ["connect", to] => TcpStream::connect(to).map(drop),
        ["datagram", to] => UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", to).map(drop),
        ["read", path] => fs::read(path).map(drop),
        ["write", path] => OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?
            .write_all(b"was here"),
        ["link-out", path] => link_out(path),
        ["by-proc", path] => by_proc(path),
        ["trace-parent"] => trace_parent(),
        ["signal", pid] => signal(pid),
        ["signal-parent"] => Ok(kill_process(getppid().ok_or(io::ErrorKind::NotFound)?, Signal::KILL)?),
        ["daemon", mark] => daemon(mark),
        ["daemon-between", mark] => daemon_between(mark),
        ["namespaces"] => unshare(),
        ["show"] => show(),
        ["good"] => {
            fs::write(scratch().join("note"), "x")?;
            println_to_out("all is well")
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn println_to_out(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

fn scratch() -> std::path::PathBuf {
    std::env::temp_dir()
}

fn again(words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    if fs::metadata("/proc/self/exe").is_err() {
        command = Command::new(std::env::args().next().unwrap_or_default());
    }
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn fork_bomb(mark: &str) -> io::Result<()> {
    let mut refused = 0;
    loop {
        // Never taken leave of: the dead count as well.
        if again(&["fork-bomb", mark]).spawn().is_err() {
            refused += 1;
        }
        if refused > 1000 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
}

fn fill_disk() -> io::Result<()> {
    let block = vec![1_u8; 1024 * 1024];
    for number in 0.. {
        let mut file = fs::File::create(scratch().join(format!("f{number}")))?;
        for _ in 0..16 {
            file.write_all(&block)?;
        }
    }
    Ok(())
}

fn fill_memory() -> io::Result<()> {
    let mut all = Vec::new();
    loop {
        all.push(vec![1_u8; 8 * 1024 * 1024]);
        if all.len() > 100_000 {
            return Ok(());
        }
    }
}

fn link_out(path: &str) -> io::Result<()> {
    let link = scratch().join("link");
    std::os::unix::fs::symlink(path, &link)?;
    let read = fs::read(&link);
    let wrote = OpenOptions::new()
        .append(true)
        .open(&link)
        .and_then(|mut file| file.write_all(b"was here"));
    read.map(drop).or(wrote)
}

/// By the links that `/proc` has of every process.
fn by_proc(path: &str) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for process in fs::read_dir("/proc")?.flatten() {
        for way in ["root", "cwd", "task/1/root"] {
            match fs::read(process.path().join(way).join(path.trim_start_matches('/'))) {
                Ok(_) => return Ok(()),
                Err(e) => last = e,
            }
        }
        for handle in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            if fs::read(handle.path().join(path.trim_start_matches('/'))).is_ok() {
                return Ok(());
            }
        }
    }
    Err(last)
}

#[expect(unsafe_code, reason = "there is no safe way to do this bad thing")]
fn trace_parent() -> io::Result<()> {
    let parent = getppid().ok_or(io::ErrorKind::NotFound)?.as_raw_nonzero().get();
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: ATTACH reads neither of the pointers.
    if unsafe { libc::ptrace(libc::PTRACE_ATTACH, parent, nothing, nothing) } == 0 {
        return Ok(());
    }
    let refused = io::Error::last_os_error();
    OpenOptions::new()
        .write(true)
        .open(format!("/proc/{parent}/mem"))
        .map(drop)
        .map_err(|_| refused)
}

#[expect(deprecated, reason = "FILES is not asked for")]
fn unshare() -> io::Result<()> {
    let flags = rustix::thread::UnshareFlags::NEWUSER | rustix::thread::UnshareFlags::NEWNS;
    Ok(rustix::thread::unshare(flags)?)
}

fn signal(pid: &str) -> io::Result<()> {
    let pid = pid
        .parse()
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// Leaves somebody behind who has another session, another group and no parent.
fn daemon(mark: &str) -> io::Result<()> {
    let status = again(&["daemon-between", mark]).status()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| io::ErrorKind::PermissionDenied.into())
}

fn daemon_between(mark: &str) -> io::Result<()> {
    let left = setsid();
    again(&["sleep", mark]).spawn()?;
    Ok(left.map(drop)?)
}

fn show() -> io::Result<()> {
    let mut names: Vec<String> = fs::read_dir("/")?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    println_to_out(&format!("root: {}", names.join(" ")))?;
    println_to_out(&format!("user: {}", rustix::process::geteuid().as_raw()))?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status
        .lines()
        .filter(|line| line.starts_with("Cap") || line.starts_with("NoNewPrivs"))
    {
        println_to_out(line)?;
    }
    Ok(())
}
