//! Picks the board that stands for the target: its memory, and the cfg that `board.rs` goes by.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(board, values(\"microbit\", \"lm3s6965\", \"mps2\"))");
    let (board, ram) = match env::var("TARGET").as_deref() {
        Ok("thumbv6m-none-eabi") => ("microbit", "16K"),
        Ok("thumbv7m-none-eabi") => ("lm3s6965", "64K"),
        Ok("thumbv7em-none-eabihf") => ("mps2", "64K"),
        _ => return Err(io::Error::other("pick a board: cargo m0, cargo m3 or cargo m4")),
    };
    println!("cargo:rustc-cfg=board=\"{board}\"");

    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let memory =
        format!("MEMORY {{ FLASH : ORIGIN = 0x00000000, LENGTH = 256K  RAM : ORIGIN = 0x20000000, LENGTH = {ram} }}\n");
    fs::write(out.join("memory.x"), memory)?;
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // Sections at such low addresses do not fit the linker's idea of pages.
    println!("cargo:rustc-link-arg-bins=--nmagic");
    Ok(())
}
