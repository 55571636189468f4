"""Operations over HTTP: what may be asked (`body`), what is answered (`document`), and the routes."""
