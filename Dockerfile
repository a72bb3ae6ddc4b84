# Sluice is one static binary, so the image holds that and nothing else: no
# shell, no libc, no package manager. `make image` builds the context (bin/image):
# the binary for Linux and the empty directories that need loose permissions.
FROM scratch

# /data, /scratch and /tmp are there so that a volume mounted on them starts out
# writable for whichever user the container runs as.
COPY bin/image/ /

# Not root, and a number, so that an orchestrator can check it without a passwd file.
USER 65532:65532

ENTRYPOINT ["/sluice"]
CMD ["--help"]
