module notejam.local/pause

go 1.21
