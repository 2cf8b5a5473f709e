# Stands in for prom/prometheus: the same paths, user and arguments.
FROM ci.local/python:3.13
RUN cd /tmp && apt-get -qq update && apt-get -qq download prometheus promtool \
 && for package in *.deb; do dpkg-deb -x "$package" /tmp/x; done \
 && cp /tmp/x/usr/bin/* /bin/ && rm -rf /tmp/* /var/lib/apt/lists/* \
 && install -d -o nobody -g nogroup /prometheus /etc/prometheus
USER nobody
WORKDIR /prometheus
VOLUME /prometheus
EXPOSE 9090
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
