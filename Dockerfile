# Both bases may come from a mirror. BASE_IMAGE needs glibc of Debian 12 or later, and nothing else.
ARG BUILD_IMAGE=rust:1.95.0-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The build machine has the toolchain of `rust-toolchain.toml`, which stays out of the context, so
# that no other is fetched.
FROM ${BUILD_IMAGE} AS build
# Writes the list of dependencies (SBOM) into the binary, where scanners of images look for it.
RUN cargo install --locked cargo-auditable@0.7.7
WORKDIR /src

# A layer of its own for the dependencies: it is built again only when they change.
COPY Cargo.toml Cargo.lock ./
COPY crates/channel-files/Cargo.toml crates/channel-files/
COPY crates/http-listener/Cargo.toml crates/http-listener/
COPY crates/local-guard/Cargo.toml crates/local-guard/
COPY crates/qr-image/Cargo.toml crates/qr-image/
COPY crates/wechat/Cargo.toml crates/wechat/
COPY crates/wechat-sandbox/Cargo.toml crates/wechat-sandbox/
RUN mkdir src crates/channel-files/src crates/http-listener/src crates/local-guard/src crates/qr-image/src crates/wechat/src \
    crates/wechat-sandbox/src \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs crates/channel-files/src/lib.rs crates/http-listener/src/lib.rs crates/local-guard/src/lib.rs crates/qr-image/src/lib.rs \
    crates/wechat/src/lib.rs crates/wechat-sandbox/src/lib.rs \
 && cargo auditable build --release --locked

# Cargo goes by the time of a file, and those of the sources may be older than the empty ones above.
COPY crates crates
COPY migrations migrations
COPY templates templates
COPY src src
RUN touch src/main.rs src/lib.rs crates/*/src/lib.rs \
 && cargo auditable build --release --locked \
 && mkdir /data

FROM ${BASE_IMAGE}
ARG BASE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wxqr" \
      org.opencontainers.image.description="Parametric QR codes of a WeChat Official Account, as a self-hosted HTTP service" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.licenses="MIT"
COPY LICENSE /usr/share/doc/wxqr/LICENSE
COPY --from=build /src/target/release/wxqr /usr/local/bin/wxqr
COPY --from=build --chown=65532:65532 /data /data

ENV WXQR_LISTEN=0.0.0.0:8080 \
    WXQR_METRICS_LISTEN=0.0.0.0:9464 \
    WXQR_DRAIN_DELAY=3s
EXPOSE 8080 9464
VOLUME /data
# Where the default of WXQR_DATABASE_URL, the file wxqr.db, is kept. SQLite's temporary files need
# it too: nothing else may be written to.
WORKDIR /data
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/wxqr", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/wxqr"]
CMD ["serve"]
