# One image for one version of the app:
#   docker build --build-arg VERSION=version2 --tag stickshift:2.0 .
# For EC2's Graviton instances add --platform linux/arm64. Other targets: `--target sidecar`, which puts
# any web app behind Stickshift, and `--target edge`, the edge of compose.yaml.
#
# The base images are arguments, so that a mirror or a digest (NAME@sha256:...) can take their place. The
# runtime image needs glibc, libgcc_s and root certificates.
ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The compiler always runs on this machine's own processor. Under emulation the build would take an hour.
FROM --platform=${BUILDPLATFORM} ${RUST_IMAGE} AS build
ARG BUILDARCH
ARG TARGETARCH
ENV CARGO_PROFILE_DIST_STRIP=symbols \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc
RUN case ${TARGETARCH} in \
      amd64) rust=x86_64-unknown-linux-gnu gcc=gcc-x86-64-linux-gnu ;; \
      arm64) rust=aarch64-unknown-linux-gnu gcc=gcc-aarch64-linux-gnu ;; \
      *) echo "there are images for linux/amd64 and linux/arm64, not for ${TARGETARCH}" >&2; exit 1 ;; \
    esac \
    && mkdir /build && echo ${rust} >/build.target \
    && if [ ${BUILDARCH} != ${TARGETARCH} ]; then \
      rustup target add ${rust} \
      && apt-get update && apt-get install --yes --no-install-recommends ${gcc} libc6-dev-${TARGETARCH}-cross; \
    fi
# Writes the list of all dependencies into the binary. Scanners read it there: cargo audit, Trivy, Syft.
RUN cargo install --quiet --locked --root /usr/local/cargo cargo-auditable --version 0.7.7
WORKDIR /build
COPY . .
# Without the default features: production has no embedded DynamoDB. The cache mount keeps compiled
# dependencies when the sources change.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo auditable build --profile dist --locked --no-default-features --package stickshift --target $(cat /build.target) \
    && cp target/$(cat /build.target)/dist/stickshift /stickshift

FROM ${RUNTIME_IMAGE} AS runtime
# The commit that the image is built from.
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Stickshift" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /stickshift /usr/local/bin/stickshift
# The user is a number, so that an orchestrator can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/stickshift"]

FROM runtime AS edge
LABEL org.opencontainers.image.description="The edge for one machine: a CloudFront that sticks sessions and rolls new ones"
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
  CMD ["/usr/local/bin/stickshift", "health", "--url", "http://127.0.0.1:8080/healthz"]
CMD ["edge", "--help"]

FROM runtime AS sidecar
LABEL org.opencontainers.image.description="The sidecar that makes sessions stick to one version of any web app"
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["/usr/local/bin/stickshift", "health"]
CMD ["sidecar", "--help"]

FROM runtime AS version
# The version: a file of themes/, without its ending.
ARG VERSION=version1
LABEL org.opencontainers.image.description="One version of a web app whose sessions stick, served behind CloudFront" \
      org.opencontainers.image.version="${VERSION}"
COPY themes/${VERSION}.toml /etc/stickshift/theme.toml
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["/usr/local/bin/stickshift", "health"]
CMD ["serve", "--theme", "/etc/stickshift/theme.toml"]
